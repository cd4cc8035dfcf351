"""Finds the figures: `lyle2025/fig3` is the module `figures/lyle2025/fig3.py`."""

import difflib
import functools
import importlib
import pkgutil
import re
from typing import Any

from experiments.reproduce import figures
from experiments.reproduce.catalogue import NOT_BUILT
from experiments.reproduce.figure import Figure


@functools.cache
def known() -> dict[str, Figure]:
    """Every figure by name, in the order of the papers' numbers."""
    found = [
        importlib.import_module(module.name).FIGURE
        for module in pkgutil.walk_packages(figures.__path__, f"{figures.__name__}.")
        if not module.ispkg
    ]
    return {figure.name: figure for figure in sorted(found, key=_order)}


def not_built() -> dict[str, str]:
    """What the figures of the papers claim that nobody has built here yet, by name."""
    return {name: NOT_BUILT[name] for name in NOT_BUILT if name not in known()}


def suggestion(name: str) -> str:
    """The known names, the most similar one first, for a message."""
    close = difflib.get_close_matches(name, known(), n=1)
    return ", ".join(dict.fromkeys([*close, *known()]))


def natural(name: str) -> list[Any]:
    """A sort key that puts fig2a before fig10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _order(figure: Figure) -> list[Any]:
    return natural(figure.name)
