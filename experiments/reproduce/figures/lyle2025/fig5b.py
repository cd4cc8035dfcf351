"""Figure 5, right, of Lyle et al. (2025): re-warming by change detection."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.reproduce import drawing, growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config
from experiments.warm_start.figures import mark_data

FRACTION = 0.1
LINES: dict[str, dict[str, Any]] = {
    f"{constraint}, {label}": {"project": project, "schedule": schedule}
    for constraint, project in reversed(growing_data.IS_PROJECTED.items())
    for label, schedule in (("cusum", "cusum"), ("single cycle", "single_cycle"))
}
# Means of the last 20 evaluations read off figure 5 of arXiv 2507.20057.
PAPER = {
    "projected, cusum": 0.754,
    "projected, single cycle": 0.726,
    "free, cusum": 0.709,
    "free, single cycle": 0.672,
}
# The same figure: share of the run, test accuracy.
PAPER_CURVES = {
    growing_data.name(line, FRACTION): drawing.points(text)
    for line, text in {
        "projected, cusum": (
            "0.004:.503 0.086:.479 0.211:.481 0.357:.495 0.496:.503 0.504:.605 "
            "0.525:.716 0.571:.734 0.621:.751 0.714:.741 0.743:.759 0.814:.755 "
            "0.871:.759 0.893:.757 0.932:.755 0.957:.750 0.961:.759"
        ),
        "projected, single cycle": (
            "0.004:.508 0.089:.469 0.168:.534 0.211:.533 0.357:.541 0.496:.566 "
            "0.504:.650 0.525:.725 0.546:.738 0.571:.728 0.621:.729 0.714:.730 "
            "0.814:.733 0.893:.726 0.996:.729"
        ),
        "free, cusum": (
            "0.004:.503 0.089:.491 0.211:.481 0.357:.464 0.496:.470 0.504:.596 "
            "0.525:.665 0.571:.680 0.621:.687 0.714:.701 0.761:.718 0.814:.713 "
            "0.893:.705 0.996:.713"
        ),
        "free, single cycle": (
            "0.004:.497 0.089:.491 0.168:.331 0.211:.497 0.357:.495 0.496:.488 "
            "0.500:.307 0.504:.566 0.525:.650 0.571:.658 0.621:.669 0.714:.672 "
            "0.800:.678 0.893:.673 0.996:.669"
        ),
    }.items()
}


def delay(runs: Runs, line: str, change: int) -> np.ndarray:
    """Updates from the change to its alarm, for each seed.

    It is infinity if there was another alarm, or none.
    """
    arm = growing_data.name(line, FRACTION)
    count, last = (
        runs.late(arm, metric=metric, last=1)
        for metric in ("num_rewarms", "last_rewarm_step")
    )
    return np.where((count == 1) & (last >= change), last - change, np.inf)


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""
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
            at_most=change / 10,
            paper="not shown; there are dips in the first phase",
        ),
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws test accuracy and learning rate over updates."""
    figure, axes = plots.figure(2, 1, width=6.5, height=2.8)
    own = {growing_data.name(line, FRACTION): line for line in LINES}
    # Free and projected networks have the same rate, so it is drawn once.
    projected = {arm: line for arm, line in own.items() if "projected" in line}
    paper = growing_panels.points(preset, own, PAPER_CURVES)
    top, bottom = axes[:, 0]
    drawing.panel(top, runs, own, paper=paper, paper_label=growing_panels.PAPER_LABEL)
    drawing.panel(bottom, runs, projected, metric="learning_rate")
    for ax, label in ((top, "test accuracy"), (bottom, "learning rate, projected")):
        mark_data(ax, next(iter(preset.arms.values())))
        ax.set(ylabel=label, xlim=(0, None))
    bottom.set(xlabel="updates")
    drawing.legend(top)
    return figure


FIGURE = growing_data.figure(
    "lyle2025/fig5b",
    "adaptive re-warming by change detection, projected or not",
    LINES,
    fractions=(FRACTION,),
    claims_of=claims_of,
    draw=draw,
)
