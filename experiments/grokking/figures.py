"""Figures of grokking runs: accuracy and feature change over updates."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from experiments.grokking.config import Config
from experiments.harness import plots

TRAIN_COLOR = "0.55"


def draw_run(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    """Draws accuracy and activation-pattern change, a faint line for each seed."""
    figure, axes = plots.figure(2, 1, width=7.0, height=2.8)
    top, bottom = axes[:, 0]
    _accuracy(top, rows)
    _pattern_change(bottom, rows, config.eval_every)
    if config.delay_steps:
        mark_rewarm((top, bottom), config.delay_steps)
    plots.label(
        top,
        title=f"{_task(config)}, {config.train_fraction:.0%} of the pairs to train on, "
        f"learning rate {config.learning_rate:g}",
        x="",
        y="accuracy",
    )
    plots.label(
        bottom,
        x="updates",
        y=f"share of ReLUs that\nflip in {config.eval_every} updates",
    )
    plots.save(figure, path)


def _task(config: Config) -> str:
    if config.operation == "s5":
        return "product in S5"
    formulas = {
        "addition": "x + y",
        "subtraction": "x - y",
        "multiplication": "x y",
        "quadratic": "x² + x y + y²",
    }
    return f"{formulas[config.operation]} mod {config.modulus}"


def draw_arms(
    memorise: Sequence[dict[str, Any]],
    arms: Mapping[str, Sequence[dict[str, Any]]],
    rewarm_step: int,
    path: Path,
    *,
    title: str,
) -> None:
    """Draws one run that memorises, and its continuations at several learning rates."""
    figure, axes = plots.figure(2, 1, width=9.5, height=2.8)
    top, bottom = axes[:, 0]
    _line(top, memorise, "train_accuracy", "training accuracy", TRAIN_COLOR)
    _line(top, memorise, "test_accuracy", "test accuracy, while memorising", "black")
    _line(bottom, memorise, "relative_update", "", "black")
    styles = itertools.cycle(("-", "-", "--", "--"))  # one for each panel
    for (name, rows), color in zip(arms.items(), plots.PALETTE, strict=False):
        joined = [memorise[-1], *rows]
        _line(top, joined, "train_accuracy", "", TRAIN_COLOR)
        _line(top, joined, "test_accuracy", f"test accuracy, {name}", color)
        _line(bottom, joined, "relative_update", "", color)
        for ax in (top, bottom):  # lines of copies that do not change overlap
            ax.lines[-1].set_linestyle(next(styles))
    mark_rewarm((top, bottom), rewarm_step)
    top.set_ylim(-0.03, 1.05)
    plots.label(top, title=title, x="", y="accuracy")
    # Beside the panel, because the free room in it depends on the outcomes.
    top.legend(
        frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    plots.log_scale(bottom)
    plots.label(
        bottom,
        x="updates",
        y="effective learning rate\n(update norm / weight norm)",
    )
    plots.save(figure, path)


def mark_rewarm(axes: Sequence[Axes], step: int) -> None:
    """Draws a vertical line in each of the axes, with its name."""
    for ax in axes:
        ax.axvline(step, color="0.3", linestyle="--", linewidth=1)
        ax.annotate(
            "re-warm ",
            (step, 0.85),
            xycoords=("data", "axes fraction"),
            ha="right",
            color="0.3",
            # Lines pass behind it.
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )


def _accuracy(ax: Axes, rows: Sequence[dict[str, Any]]) -> None:
    _line(ax, rows, "train_accuracy", "training", TRAIN_COLOR)
    _line(ax, rows, "test_accuracy", "test", plots.PALETTE[0])
    ax.set_ylim(-0.03, 1.05)


def _pattern_change(ax: Axes, rows: Sequence[dict[str, Any]], eval_every: int) -> None:
    # A last, shorter interval would not compare with the others.
    rows = [row for row in rows if row["step"] % eval_every == 0]
    if not rows:
        return
    _line(ax, rows, "activation_pattern_change", "", plots.PALETTE[0])
    ax.set_ylim(bottom=0)


def _line(
    ax: Axes, rows: Sequence[dict[str, Any]], y: str, label: str, color: str
) -> None:
    steps, values = plots.by_group(rows, "step", y)
    plots.line_with_spread(ax, steps, values, label=label, color=color)
