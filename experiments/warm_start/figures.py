"""The figure of one warm-start run, after the panels of the paper's figure 4."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.harness import plots
from experiments.warm_start.config import Config

PANELS = {
    "test_accuracy": "test accuracy",
    "feature_covariance_change": "change of the\nfeatures' covariance",
    "activation_pattern_change": "share of ReLUs that\nflip between evaluations",
    "learning_rate": "learning rate",
    "update_norm": "norm of an update",
    "weight_norm": "norm of all matrices",
}


def draw_run(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    """Draws accuracy, change of features, rate and norms over updates, by seed."""
    figure, axes = plots.figure(2, 3, width=4.0, height=2.6)
    for ax, (metric, label) in zip(axes.flat, PANELS.items(), strict=True):
        steps, values = plots.by_group(rows, "step", metric)
        plots.line_with_spread(ax, steps, values, label="")
        mark_data(ax, config)
        plots.label(ax, x="updates", y=label)
        ax.update_datalim([(0, 0)], updatex=False)  # so that there is room above
        ax.autoscale_view()
        ax.set_ylim(bottom=0)
    axes[0, 0].set_title(
        f"{config.dataset}, {config.model}, from {config.initial_fraction:.0%} of the "
        f"data,\n{'projected' if config.project else 'free'}, {config.schedule}",
        loc="left",
        fontsize="small",
    )
    plots.save(figure, path)


def mark_data(ax: Any, config: Config) -> None:
    """Draws a vertical line wherever data arrive."""
    if config.initial_fraction == 1:
        return
    for phase in range(1, config.num_phases):
        ax.axvline(phase * config.phase_steps, color="0.3", linestyle="--", linewidth=1)
