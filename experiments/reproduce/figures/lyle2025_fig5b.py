"""Figure 5, right, of Lyle et al. (2025): re-warming by change detection."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.reproduce import drawing, growing_data
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config
from experiments.warm_start.figures import mark_data

FRACTION = 0.1
LINES: dict[str, dict[str, Any]] = {
    f"{constraint}, {label}": {"project": project, "schedule": schedule}
    for constraint, project in (("projected", True), ("free", False))
    for label, schedule in (("cusum", "cusum"), ("single cycle", "single_cycle"))
}
# Means of the last 20 evaluations read off figure 5 of arXiv 2507.20057.
PAPER = {
    "projected, cusum": 0.754,
    "projected, single cycle": 0.726,
    "free, cusum": 0.709,
    "free, single cycle": 0.672,
}


def delay(runs: Runs, line: str, change: int) -> np.ndarray:
    """Updates from the change to its alarm, for each seed.

    Infinity if there was another alarm, or none.
    """
    arm = growing_data.name(line, FRACTION)
    count, last = (
        runs.late(arm, metric=metric, last=1)
        for metric in ("num_rewarms", "last_rewarm_step")
    )
    return np.where((count == 1) & (last >= change), last - change, np.inf)


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """What must hold, at both scales."""
    change = next(iter(arms.values())).phase_steps

    def better(one: str, other: str) -> Claim:
        paper = f"{PAPER[one] - PAPER[other]:.3f}"
        return growing_data.better_claim(one, other, FRACTION, paper)

    return (
        better("projected, cusum", "projected, single cycle"),
        better("projected, cusum", "free, cusum"),
        better("free, cusum", "free, single cycle"),
        better("projected, single cycle", "free, single cycle"),
        Claim(
            says="projected, cusum: the detector sees the change and nothing else: "
            "updates from the change to its only alarm",
            measure=lambda runs: delay(runs, "projected, cusum", change),
            at_most=change,
            paper="not shown; there are dips in the first phase",
        ),
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """Test accuracy and learning rate over updates."""
    figure, axes = plots.figure(2, 1, width=6.5, height=2.8)
    own = {growing_data.name(line, FRACTION): line for line in LINES}
    for ax, metric, label in zip(
        axes[:, 0],
        ("test_accuracy", "learning_rate"),
        ("test accuracy", "learning rate"),
        strict=True,
    ):
        drawing.panel(ax, runs, own, metric=metric)
        mark_data(ax, next(iter(preset.arms.values())))
        ax.set(ylabel=label)
    for line, color in zip(LINES, drawing.colors(len(LINES)), strict=True):
        end = preset.arms[growing_data.name(line, FRACTION)].num_steps
        axes[0, 0].plot([end], [PAPER[line]], **drawing.PAPER_STYLE, color=color)
    axes[0, 0].plot(
        [], [], **drawing.PAPER_STYLE, color="0.3", label=growing_data.PAPER_LABEL
    )
    axes[1, 0].set(xlabel="updates")
    drawing.legend(axes[0, 0])
    return figure


FIGURE = growing_data.figure(
    "lyle2025/fig5b",
    "adaptive re-warming by change detection, projected or not",
    LINES,
    fractions=(FRACTION,),
    claims_of=claims_of,
    draw=draw,
)
