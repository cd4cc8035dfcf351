"""The figure of a run of the theory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from experiments.harness import plots
from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.figures import TRAIN_COLOR

_ERRORS = 2
"""Standard errors on either side of a line."""


def draw_run(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    """Losses beside those of infinitely many examples, their gap, and the terms."""
    figure, axes = plots.figure(3, 1, width=7.0, height=2.6)
    losses, gaps, terms = axes[:, 0]
    steps, limit = plots.by_group(rows, "step", "online_loss")
    losses.plot(
        steps, limit[0], "--", color=plots.PALETTE[6], label="infinitely many examples"
    )
    _with_errors(losses, rows, "train_loss", label="training", color=TRAIN_COLOR)
    _with_errors(losses, rows, "test_loss", label="test", color=plots.PALETTE[0])
    _with_errors(gaps, rows, "gap", label="test - training", color=plots.PALETTE[0])
    _, leading = plots.by_group(rows, "step", "leading_gap")
    plots.line_with_spread(
        gaps, steps, leading, label="to first order in 1 / nu", color=plots.PALETTE[1]
    )
    for name, label in (
        ("test_variance", "variance"),
        ("test_misalignment", "misalignment"),
        ("test_linear", "linear power"),
    ):
        _, values = plots.by_group(rows, "step", name)
        plots.line_with_spread(terms, steps, values, label=label)
    for ax in (losses, terms):
        ax.set_ylim(bottom=0)
    plots.label(
        losses,
        title=f"N = {config.width}, nu = {config.nu:g}, alpha = {config.alpha:g}, "
        f"epsilon = {config.epsilon:g}, steps of {config.time_step:g}",
        x="",
        y="loss",
    )
    plots.label(gaps, x="", y="gap")
    plots.label(terms, x="updates", y="terms of the\ntest loss")
    plots.save(figure, path)


def _with_errors(
    ax: Axes, rows: Sequence[dict[str, Any]], name: str, *, label: str, color: str
) -> None:
    """Lines of all seeds, each in a band of its standard errors."""
    steps, values = plots.by_group(rows, "step", name)
    _, errors = plots.by_group(rows, "step", f"{name}_error")
    plots.line_with_spread(ax, steps, values, label=label, color=color)
    for value, error in zip(values, errors, strict=True):
        low, high = (value + sign * _ERRORS * error for sign in (-1, 1))
        ax.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
