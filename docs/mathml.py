"""Formulas as MathML, written when the pages are built.

Browsers render it themselves: no script, no font and no network.
"""

from __future__ import annotations

from typing import Any, NoReturn

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml


def _visit(self: Any, node: nodes.Element, as_block: bool) -> NoReturn:
    """Writes one formula, or fails the build with its text."""
    text = node.astext()
    try:
        self.body.append(tex2mathml(text, as_block=as_block))
    except MathError as error:
        raise ValueError(f"{error} in the formula {text!r}") from error
    raise nodes.SkipNode


def _visit_inline(self: Any, node: nodes.Element) -> None:
    _visit(self, node, as_block=False)


def _visit_block(self: Any, node: nodes.Element) -> None:
    _visit(self, node, as_block=True)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(_visit_inline, None),
        block_renderers=(_visit_block, None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
