"""Collects what transformations report of each leaf to `nap_optax.explain`."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from nap_optax import _leaves

__all__ = ["Column", "add", "listening"]


class Column(NamedTuple):
    """A transformation's words for what it does with each leaf that it sees."""

    name: str
    cells: dict[str, str]  # by path


_COLUMNS: contextvars.ContextVar[list[Column] | None] = contextvars.ContextVar(
    "_COLUMNS", default=None
)


@contextlib.contextmanager
def listening() -> Iterator[list[Column]]:
    """Collects the columns of the transformations that are initialised inside."""
    columns: list[Column] = []
    token = _COLUMNS.set(columns)
    try:
        yield columns
    finally:
        _COLUMNS.reset(token)


def add(name: str, params: Any, cells: Callable[[], Sequence[str]]) -> None:
    """Adds a column if :func:`listening` is active; only then computes its cells."""
    columns = _COLUMNS.get()
    if columns is not None:
        paths = _leaves.named_leaves(params)[0]
        columns.append(Column(name, dict(zip(paths, cells(), strict=True))))
