"""Draws panels: seeds as faint lines, the paper's numbers as marks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from experiments.harness import plots
from experiments.reproduce.runs import Runs

Points = Sequence[tuple[float, float]]
CONSTRAINTS = ("free", "projected")  # of the weights' norms
PAPER_LABEL = "the paper's figure"
PAPER_STYLE: dict[str, Any] = {
    "marker": "o",
    "markersize": 5,
    "markerfacecolor": "none",
    "linestyle": ":",
    "linewidth": 0.8,
}


def panel(
    ax: Any,
    runs: Runs,
    arms: Mapping[str, str],
    *,
    metric: str = "test_accuracy",
    paper: Mapping[str, Points] | None = None,
    since: Mapping[str, int] | None = None,
    paper_label: str = PAPER_LABEL,
    own_colors: Sequence[str] | None = None,
) -> None:
    """Draws a metric of several arms, and over it the points of the paper's figure.

    Args:
      ax: the axes to draw on.
      runs: the metrics.
      arms: the arms to draw, and their labels.
      metric: the metric on the vertical axis.
      paper: points (updates, value) for the arms that have any.
      since: for each arm, the update that becomes 0 on the horizontal axis.
      paper_label: the label of the paper's points in the legend.
      own_colors: colours of the arms; by default colours that can be told apart.
    """
    paper, since = paper or {}, since or {}
    own_colors = own_colors or colors(len(arms))
    for (arm, label), color in zip(arms.items(), own_colors, strict=True):
        steps, values = runs.curve(arm, metric)
        start = since.get(arm, 0)
        plots.line_with_spread(ax, steps - start, values, label=label, color=color)
        if points := paper.get(arm):
            x, y = zip(*points, strict=True)
            ax.plot(x, y, **PAPER_STYLE, color=color)
    if paper:
        ax.plot([], [], **PAPER_STYLE, color="0.3", label=paper_label)


def by_constraint(
    runs: Runs,
    paper: Mapping[str, Points],
    *,
    constraints: Sequence[str] = CONSTRAINTS,
) -> Any:
    """Draws test accuracy over updates, with a panel for each constraint.

    Args:
      runs: the metrics.
      paper: points for each arm; an arm's name begins with its constraint and a comma.
      constraints: the constraints in the order of the panels; by default two.
    """
    figure, axes = plots.figure(1, len(constraints), width=5.5, height=3.8)
    for ax, constraint in zip(axes[0], constraints, strict=True):
        prefix = f"{constraint}, "
        own = {arm: curve for arm, curve in paper.items() if arm.startswith(prefix)}
        arms = {arm: arm.removeprefix(prefix) for arm in own}
        panel(ax, runs, arms, paper=own)
        log_updates(ax, smallest=100)
        ax.set(title=constraint, xlabel="updates", xlim=(0, None), ylim=(-0.03, 1.05))
    axes[0, 0].set(ylabel="test accuracy")
    # Some constraints may have fewer arms; shared arms have the same colours.
    fullest = max(axes[0], key=lambda ax: len(ax.lines))
    legend(axes[0, -1], of=fullest)
    return figure


def same_heights(row: Any, margin: float = 0.0) -> None:
    """Gives axes the same limits; a margin keeps a constant line off the axis."""
    low = min(ax.get_ylim()[0] for ax in row)
    high = max(ax.get_ylim()[1] for ax in row)
    for ax in row:
        ax.set_ylim(low - margin * (high - low), high)


def seeds_by_group(ax: Any, groups: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Draws a mark for each seed and a bar at the median, side by side in each place.

    Args:
      ax: the axes to draw on.
      groups: values by seed, for each colour and place; all colours have the same
        places.
    """
    places: list[str] = []
    width = 0.8 / len(groups)
    for (label, values), (index, color) in zip(
        groups.items(), enumerate(colors(len(groups))), strict=True
    ):
        places = list(values)
        for place, own in enumerate(values.values()):
            x = place + (index - (len(groups) - 1) / 2) * width
            ax.plot([x] * len(own), own, "o", color=color, markersize=4, alpha=0.5)
            bar = [x - 0.4 * width, x + 0.4 * width]
            ax.plot(bar, [float(np.median(own))] * 2, color=color, linewidth=2)
        ax.plot([], [], "o-", color=color, label=label)
    ax.set_xticks(range(len(places)), places)
    legend(ax)


def points(text: str) -> Points:
    """Reads points written as `"1000:.23 2000:.92"`: updates, then the value."""
    pairs = (word.split(":") for word in text.split())
    return [(float(x), float(y)) for x, y in pairs]


def log_updates(ax: Any, smallest: float) -> None:
    """Makes the axis of updates logarithmic, for the paper's far longer runs."""
    ax.set_xscale("symlog", linthresh=smallest, linscale=0.5)


def legend(ax: Any, title: str = "", of: Any = None) -> None:
    """Draws a legend to the right of the axes, by default for these axes' lines."""
    handles, labels = (of or ax).get_legend_handles_labels()
    ax.legend(
        handles,
        labels,
        frameon=False,
        fontsize="x-small",
        title=title,
        title_fontsize="x-small",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )


def colors(number: int) -> list[str]:
    """Colours that can be told apart; after eight they repeat."""
    palette = (*plots.PALETTE, "0.6")
    return [palette[index % len(palette)] for index in range(number)]


def shades(number: int) -> list[str]:
    """Colours from dark to light, for arms that are the steps of a sweep."""
    places = np.linspace(0, 0.9, number)
    return [to_hex(color) for color in colormaps["viridis"](places)]
