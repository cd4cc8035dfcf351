"""The figure of one run: losses on both corpora, and how much an update changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.continual_pretraining.config import Config
from experiments.harness import plots


def draw_run(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    """Losses, relative update and norm over updates, a faint line for each seed."""
    figure, axes = plots.figure(3, 1, width=7.0, height=2.3)
    losses, relative, norm = axes[:, 0]
    old, new = config.order
    for metric, name in {"old_loss": old, "new_loss": new}.items():
        _line(losses, rows, metric, f"validation, {name}")
    _line(losses, rows, "train_loss", "training", "0.55")
    _line(relative, rows, "relative_update", "update norm / weight norm, median")
    _line(relative, rows, "learning_rate", "learning rate", "0.55")
    _line(norm, rows, "weight_norm", "")
    for ax in axes[:, 0]:
        mark_change(ax, config)
    plots.log_scale(relative)
    plots.label(
        losses,
        title=f"{old}, then {new}: {config.optimizer}, {config.schedule}, "
        f"learning rate {config.learning_rate:g}",
        x="",
        y="loss\n(nats per byte)",
    )
    plots.label(relative, x="", y="")
    plots.label(norm, x="updates", y="norm of\nall matrices")
    plots.save(figure, path)


def mark_change(ax: Any, config: Config) -> None:
    """A vertical line where the corpus changes."""
    ax.axvline(config.phase_steps, color="0.3", linestyle="--", linewidth=1)


def _line(
    ax: Any,
    rows: Sequence[dict[str, Any]],
    metric: str,
    label: str,
    color: str | None = None,
) -> None:
    steps, values = plots.by_group(rows, "step", metric)
    plots.line_with_spread(ax, steps, values, label=label, color=color)
