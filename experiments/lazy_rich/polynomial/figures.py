"""The figure of a run on the polynomial task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.lazy_rich.figures import TRAIN_COLOR, log_steps
from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.polynomial.outcomes import lazy_curve


def draw_run(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    """Losses beside those of the lazy limit, the test loss's terms, and the norm."""
    figure, axes = plots.figure(3, 1, width=7.0, height=2.6)
    losses, terms, norm = axes[:, 0]
    steps, train = plots.by_group(rows, "step", "train_loss")
    _, test = plots.by_group(rows, "step", "test_loss")
    _lazy_lines(losses, rows, config, steps)
    plots.line_with_spread(losses, steps, train, label="training", color=TRAIN_COLOR)
    plots.line_with_spread(losses, steps, test, label="test", color=plots.PALETTE[0])
    for name, label in (
        ("variance", "variance"),
        ("misalignment", "misalignment"),
        ("linear", "linear power"),
    ):
        _, values = plots.by_group(rows, "step", f"test_{name}")
        plots.line_with_spread(terms, steps, values, label=label)
    _, ratios = plots.by_group(rows, "step", "weight_norm_ratio")
    plots.line_with_spread(norm, steps, ratios, label="", color=plots.PALETTE[0])
    log_steps(axes[:, 0], steps)
    for ax in (losses, terms):
        ax.set_ylim(bottom=0)
    plots.label(
        losses,
        title=f"D = {config.dimension}, P = {config.num_train}, "
        f"alpha = {config.alpha:g}, epsilon = {config.epsilon:g}, {config.optimizer}",
        x="",
        y="loss",
    )
    plots.label(terms, x="", y="terms of the\ntest loss")
    plots.label(norm, x="updates", y="weight norm\nover initial")
    plots.save(figure, path)


def _lazy_lines(
    ax: Any, rows: Sequence[dict[str, Any]], config: Config, steps: np.ndarray
) -> None:
    """The linearised network's losses, dashed; no line if it diverges."""
    seeds = dict.fromkeys(row["seed"] for row in rows)
    curves = [lazy_curve(config, seed, steps.astype(np.int32)) for seed in seeds]
    found = [curve for curve in curves if curve is not None]
    if not found:
        return
    for name, label, color in (
        ("train_loss", "training, lazy limit", TRAIN_COLOR),
        ("test_loss", "test, lazy limit", plots.PALETTE[0]),
    ):
        values = [np.asarray(getattr(curve, name)) for curve in found]
        first = len(ax.lines)
        plots.line_with_spread(ax, steps, values, label=label, color=color)
        for line in ax.lines[first:]:
            line.set_linestyle("--")
