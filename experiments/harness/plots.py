"""Figures in one style, drawn without pyplot's global state.

The palette is that of Okabe and Ito, which people with any colour vision can tell
apart. Yellow is left out, because it is too pale for lines.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.harness import files

PALETTE = (
    "#0072B2",  # blue
    "#D55E00",  # vermillion
    "#009E73",  # green
    "#CC79A7",  # purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#000000",  # black
)


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 5.0, height: float = 3.5
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes as an array of shape (rows, columns).

    Args:
      rows: Rows of axes.
      columns: Columns of axes.
      width: Width of one of the axes, in inches.
      height: Height of one of the axes, in inches.
    """
    drawn = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(visible=True, color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.set_prop_cycle(color=PALETTE)
    return drawn, axes


def label(ax: Axes, *, title: str = "", x: str, y: str) -> None:
    """Names the axes, with units ("time (s)"), and shows a legend if it has entries."""
    ax.set(title=title, xlabel=x, ylabel=y)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)


def log_scale(ax: Axes) -> None:
    """Makes the vertical axis logarithmic, unless nothing on it is positive."""
    if np.isfinite(ax.dataLim.minposy):  # infinite if there is none
        ax.set_yscale("log")


def line_with_spread(
    ax: Axes, x: Any, ys: Any, *, label: str, color: str | None = None
) -> None:
    """Draws every seed faintly and their median boldly.

    The median is not drawn at points where a seed is not a number, so that seeds that
    diverged do not disappear in it.

    Args:
      ax: The axes to draw on.
      x: Shape (points,).
      ys: Shape (seeds, points).
      label: The label in the legend.
      color: By default the next colour of the palette.
    """
    ys = np.atleast_2d(np.asarray(ys, dtype=float))
    (bold,) = ax.plot(x, np.median(ys, axis=0), color=color, linewidth=2, label=label)
    for y in ys if len(ys) > 1 else ():
        ax.plot(x, y, color=bold.get_color(), linewidth=0.8, alpha=0.35)


def save(drawn: Figure, path: Path) -> None:
    """Writes a PNG that is whole or absent; equal figures give equal bytes."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    files.write_atomically(path, buffer.getvalue())


def by_group(
    rows: Sequence[dict[str, Any]], x: str, y: str, group: str = "seed"
) -> tuple[np.ndarray, np.ndarray]:
    """Turns rows of metrics into lines: x of shape (points,), ys (groups, points).

    Every group must have the same values of `x`.
    """
    groups: dict[Any, list[tuple[float, float]]] = {}
    for row in rows:
        groups.setdefault(row[group], []).append((row[x], row[y]))
    lines = np.asarray(list(groups.values()), dtype=float)
    if lines.ndim != 3 or (lines[:, :, 0] != lines[0, :, 0]).any():
        raise ValueError(f"the {group}s have different values of {x}")
    return lines[0, :, 0], lines[:, :, 1]
