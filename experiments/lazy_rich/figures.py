"""The figure of a run: accuracies, if there are any, losses and the weight norm."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments.harness import plots
from experiments.lazy_rich.families import is_classifier

TRAIN_COLOR = "0.55"


def draw_run(rows: Sequence[dict[str, Any]], path: Path, *, title: str) -> None:
    """One panel each, a faint line for each seed.

    Args:
      rows: of one config.
      path: of the figure.
      title: of the first panel.
    """
    kinds = ["accuracy", "loss"] if is_classifier(rows[-1]) else ["loss"]
    figure, axes = plots.figure(len(kinds) + 1, 1, width=7.0, height=2.6)
    *panels, norm = axes[:, 0]
    for ax, kind in zip(panels, kinds, strict=True):
        for part, label, color in (
            ("train", "training", TRAIN_COLOR),
            ("test", "test", plots.PALETTE[0]),
        ):
            steps, values = plots.by_group(rows, "step", f"{part}_{kind}")
            plots.line_with_spread(ax, steps, values, label=label, color=color)
        ax.set_ylim(bottom=-0.03 if kind == "accuracy" else 0)
        plots.label(ax, title=title if ax is panels[0] else "", x="", y=kind)
    steps, ratios = plots.by_group(rows, "step", "weight_norm_ratio")
    plots.line_with_spread(norm, steps, ratios, label="", color=plots.PALETTE[0])
    log_steps(axes[:, 0], steps)
    plots.label(norm, x="updates", y="weight norm\nover initial")
    plots.save(figure, path)


def log_steps(axes: Iterable[Axes], steps: np.ndarray) -> None:
    """Draws updates on a logarithmic axis, even if no value can be drawn."""
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xlim(steps[0] / 1.1, steps[-1] * 1.1)
