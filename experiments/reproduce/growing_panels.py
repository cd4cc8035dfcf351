"""Shared panels of the warm-start figures: curves of each line, marks for each seed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.reproduce import drawing
from experiments.reproduce.figure import Preset
from experiments.reproduce.growing_data import FRACTIONS, IS_PROJECTED, name
from experiments.reproduce.runs import Runs
from experiments.warm_start.figures import mark_data

PAPER_LABEL = f"{drawing.PAPER_LABEL},\nof CIFAR-10"


def draw_lines(
    runs: Runs,
    preset: Preset,
    lines: Iterable[str],
    *,
    metrics: Mapping[str, str],
    paper: Mapping[str, drawing.Points] | None = None,
) -> Any:
    """Draws a column per line, a row per metric and a colour per initial fraction.

    Args:
      runs: the metrics.
      preset: the preset of the figure.
      lines: the lines, with the titles of the columns.
      metrics: the metrics on the vertical axes, with their labels.
      paper: test accuracies of the paper's figure by arm, from `points`.
    """
    titles = list(lines)
    figure, axes = plots.figure(len(metrics), len(titles), width=3.6, height=2.4)
    for column, line in enumerate(titles):
        own = {
            name(line, fraction): f"from {fraction:.0%}"
            for fraction in FRACTIONS
            if name(line, fraction) in preset.arms
        }
        for row, (metric, label) in enumerate(metrics.items()):
            ax = axes[row, column]
            shown = paper if metric == "test_accuracy" else None
            drawing.panel(
                ax,
                runs,
                own,
                metric=metric,
                paper=points(preset, own, shown or {}),
                paper_label=PAPER_LABEL,
            )
            mark_data(ax, preset.arms[name(line, FRACTIONS[0])])
            if column == 0:
                ax.set(ylabel=label)
        axes[0, column].set_title(line, fontsize="small")
        axes[-1, column].set(xlabel="updates")
    for row in axes:
        drawing.same_heights(row, margin=0.03)
    drawing.legend(axes[0, -1])
    return figure


def draw_seeds(
    places: Mapping[str, str],
    measure: Callable[[str], np.ndarray],
    *,
    label: str,
    height: float,
) -> Any:
    """Draws one number for each seed, free and projected side by side.

    Args:
      places: the places on the horizontal axis, with their labels.
      measure: gives the values by seed of a line, "<place>, free" or
        "<place>, projected".
      label: the label of the vertical axis.
      height: the height of the figure, in inches.
    """
    figure, axes = plots.figure(1, 1, width=8.0, height=height)
    groups = {
        constraint: {
            written: measure(f"{place}, {constraint}")
            for place, written in places.items()
        }
        for constraint in IS_PROJECTED
    }
    drawing.seeds_by_group(axes[0, 0], groups)
    axes[0, 0].set(ylabel=label)
    return figure


def at_the_end(values: Mapping[str, float]) -> dict[str, drawing.Points]:
    """Points of the paper for arms of which only the last value is known."""
    return {arm: [(1.0, value)] for arm, value in values.items()}


def points(
    preset: Preset, arms: Iterable[str], paper: Mapping[str, drawing.Points]
) -> dict[str, drawing.Points]:
    """The paper's points of some arms on the axis of our runs.

    Args:
      preset: the preset of the figure.
      arms: names of arms.
      paper: points (share of the run, value) for the arms that have any. Our phases are
        shorter, but the data arrive in the middle of both.

    Returns:
      Points (updates, value).
    """
    return {
        arm: [(x * preset.arms[arm].num_steps, y) for x, y in paper[arm]]
        for arm in arms
        if arm in paper
    }
