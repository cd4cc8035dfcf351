"""Explains what a transformation will do with each leaf, and why."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TextIO

import optax

from nap_optax import _checks, _leaves, _report

__all__ = ["explain"]


def explain(
    tx: optax.GradientTransformation,
    params: optax.Params,
    *,
    file: TextIO | None = None,
) -> None:
    """Prints what the transformations of this library do with each leaf, and why.

    The table has a row for each leaf and a column for each transformation that chooses
    leaves, also inside chains and wrappers of optax. A ``-`` means that a wrapper, such
    as ``optax.masked``, keeps the leaf from the transformation. The warnings of
    ``init`` are printed below.

    Args:
      tx: any transformation; its ``init`` is called.
      params: the parameters, as ``init`` takes them; not under ``jit``, because their
        norms are read. Shapes do as well; their cells say ``norm of init``.
      file: where to print; ``None`` for the standard output.

    Raises:
      ValueError: if ``tx`` is no transformation or ``file`` is no file. Errors of
        ``tx.init`` pass through.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> import nap_optax
      >>> params = {
      ...     "dense": {"kernel": 2 * jnp.eye(4), "bias": jnp.zeros(4)},
      ...     "norm": {"scale": jnp.ones(4)},
      ... }
      >>> tx = nap_optax.nap(optax.scale_by_adam(), 1e-3, scale_decay=0.1)
      >>> nap_optax.explain(tx, params)
      leaf          shape   decay_scales         project_weights
      dense/bias    (4,)    no: not named scale  no: 1 dimension
      dense/kernel  (4, 4)  no: not named scale  norm 4
      norm/scale    (4,)    decay 0.1            no: 1 dimension
    """
    _checks.is_transformation("tx", tx)
    if file is not None and not hasattr(file, "write"):
        raise ValueError(f"file={_checks.shown(file)}: must be open for writing text")
    with (
        _report.listening() as columns,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        tx.init(params)
    paths, leaves = _leaves.named_leaves(params)
    # Wrappers such as optax.flatten make other leaves, with other paths.
    paths += sorted({path for c in columns for path in c.cells} - set(paths))
    shapes = [str(getattr(leaf, "shape", "-")) for leaf in leaves]
    shapes += ["-"] * (len(paths) - len(leaves))
    table = [
        ["leaf", *paths],
        ["shape", *shapes],
        *([c.name, *(c.cells.get(path, "-") for path in paths)] for c in columns),
    ]
    print(*_lines(table), sep="\n", file=file)
    for warning in caught:
        print(f"warning: {warning.message}", file=file)
    if not columns:
        print("no transformation of nap_optax in it chooses leaves", file=file)


def _lines(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
