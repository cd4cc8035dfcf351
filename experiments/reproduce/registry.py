"""Finds the figures: `lyle2025/fig3` is the module `figures/lyle2025/fig3.py`."""

import functools
import importlib
import pkgutil
import re
from typing import Any

from experiments.harness.messages import nearest
from experiments.reproduce import figures
from experiments.reproduce.figure import Figure, Scale

LIST = "python -m experiments.reproduce --list"


@functools.cache
def known() -> dict[str, Figure]:
    """Every figure by name, in the order of the papers' numbers."""
    found = [
        importlib.import_module(module.name).FIGURE
        for module in pkgutil.walk_packages(figures.__path__, f"{figures.__name__}.")
        if not module.ispkg
    ]
    return {figure.name: figure for figure in sorted(found, key=_order)}


def find(name: str) -> Figure:
    """A figure by its name, or by the name of a user's module with a `FIGURE`.

    Raises:
      ValueError: there is no such figure.
    """
    if not name:
        raise ValueError(f"name a figure: {LIST} names all")
    if name in known():
        return known()[name]
    figure = None if "/" in name else _of_module(name)
    if figure is None:
        meant = nearest(name, known())
        raise ValueError(f"no figure {name!r} here{meant}: {LIST} names all")
    return figure


def check_scale(figure: Figure, scale: Scale) -> None:
    """Raises `ValueError` unless a figure has a scale."""
    if scale not in figure.presets:
        scales = ", ".join(figure.presets)
        raise ValueError(
            f"scale={scale}: must be one of {scales} for {figure.name} (--scale)"
        )


def natural(name: str) -> list[Any]:
    """A sort key that puts fig2a before fig10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _of_module(name: str) -> Figure | None:
    try:
        figure = getattr(importlib.import_module(name), "FIGURE", None)
    except (ImportError, ValueError, TypeError):
        return None
    return figure if isinstance(figure, Figure) else None


def _order(figure: Figure) -> list[Any]:
    return natural(figure.name)
