"""The figure of one run: its returns, and the state of its network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import EngFormatter

from experiments.atari.config import Config
from experiments.harness import plots


def draw_run(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    """Returns, TD error, values, rate, norms and rank over frames, by seed."""
    stream = "advantages" if config.switches.dueling else "action_values"
    panels = {
        "mean_return_last_100_episodes": "mean return",
        "td_error": "size of the TD error",
        "value": "value of the actions\nthat were taken",
        "learning_rate": "learning rate",
        f"relative_update.{stream}.hidden": "hidden layer: update\nover weight norm",
        "weight_norm": "norm of all matrices",
        f"dormant_fraction.{stream}": "dormant share of\nhidden units",
        f"effective_rank.{stream}": "effective rank of\nhidden units",
    }
    figure, axes = plots.figure(2, 4, width=3.4, height=2.6)
    for ax, (metric, label) in zip(axes.flat, panels.items(), strict=True):
        frames, values = plots.by_group(rows, "frames", metric)
        plots.line_with_spread(ax, frames, values, label="")
        plots.label(ax, x="frames", y=label)
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    returns = axes[0, 0]
    if all("mean_return_evaluation" in row for row in rows):
        returns.lines[0].set_label("of the last 100 episodes")
        frames, values = plots.by_group(rows, "frames", "mean_return_evaluation")
        plots.line_with_spread(
            returns,
            frames,
            values,
            label=f"of {config.evaluation.episodes} evaluations",
        )
        returns.legend(fontsize="x-small", framealpha=0.5)
    else:
        returns.set(ylabel="mean return of the\nlast 100 episodes")
    returns.set_title(
        f"{config.game} ({config.suite}), {config.agent}, "
        f"steps per update: {config.agent_steps_per_update:g},\n"
        f"{config.learning_rate_schedule}, {'projected' if config.project else 'free'}",
        loc="left",
        fontsize="small",
    )
    plots.save(figure, path)
