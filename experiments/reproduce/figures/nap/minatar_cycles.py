"""A study of our own: schedules, replay ratios and projection, and a detector."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.atari.config import Config
from experiments.harness import plots
from experiments.reproduce import drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import figures, panels, scores, sizes
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs

PANELS = (
    *("many updates, free", "many updates, projected"),
    *("few updates, free", "few updates, projected"),
)
SCHEDULES = {
    "constant high": "constant high",
    "constant low": "constant low",
    "cyclic": "cyclic",
    "stopped late": "stopped early",
}
"""Their labels, by the name in an arm; the paper says that the longest cycles stop
early."""
DETECTOR = "many updates, detector"
CUSUM = sizes.line_name(DETECTOR, "cusum")
LINES = {
    **{
        sizes.line_name(panel, schedule): label
        for panel in PANELS
        for schedule, label in SCHEDULES.items()
    },
    CUSUM: "cusum on the TD error",
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims that one would expect from the paper, for each combination."""

    def better(panel: str, one: str, other: str) -> Claim:
        return scores.better_claim(
            arms, sizes.line_name(panel, one), sizes.line_name(panel, other), ""
        )

    def projected_better(regime: str) -> Claim:
        return scores.better_claim(
            arms, f"{regime}, projected, cyclic", f"{regime}, free, cyclic", ""
        )

    many, few = PANELS[:2], PANELS[2:]
    return (
        *(better(panel, "cyclic", "constant high") for panel in PANELS),
        *(better(panel, "stopped late", "constant high") for panel in many),
        # Figure 11: with few updates, cycles that never stop are better.
        *(better(panel, "cyclic", "stopped late") for panel in few),
        projected_better("many updates"),
        projected_better("few updates"),
        # The paper's open question: whether a detector of changes can decide when.
        scores.better_claim(
            arms,
            CUSUM,
            "many updates, free, stopped late",
            "",
            at_least=-scores.MARGIN,
        ),
    )


def draw(runs: Runs, preset: Preset, lines: Mapping[str, str]) -> Any:
    """Draws aggregate scores and weight norms, with a column for each combination."""
    figure, axes = plots.figure(2, len(PANELS), width=3.3, height=2.6)
    for column, panel in enumerate(PANELS):
        own = {line: label for line, label in lines.items() if line.startswith(panel)}
        if panel == PANELS[0]:
            own[CUSUM] = lines[CUSUM]
        top, bottom = axes[:, column]
        panels.draw_aggregate(top, runs, preset, own)
        for line, color in zip(own, drawing.colors(len(own)), strict=True):
            frames, norms = _growth(runs, preset, line)
            plots.line_with_spread(bottom, frames, norms, label="", color=color)
        top.set_title(panel, fontsize="small")
        bottom.set(xlabel="frames")
    axes[0, 0].set(ylabel=f"IQM of the scores\n(1: {scores.one_is(preset)})")
    axes[1, 0].set(ylabel="weight norm over the first,\nmean of the games")
    drawing.legend(axes[0, -1], of=axes[0, 0])
    return figure


def _growth(runs: Runs, preset: Preset, line: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames, and the norm over the norm at the first evaluation, by seed."""
    arms = scores.by_game(preset.arms, line).values()
    norms = []
    for arm in arms:
        steps, values = runs.curve(arm, "weight_norm")
        frames = steps * preset.arms[arm].round_frames
        norms.append(values / values[:, :1])
    return frames, np.mean(norms, axis=0)


FIGURE = figures.figure(
    "nap/minatar_cycles",
    "agents on games: cycles, their end, projection, and a detector",
    ("many updates, free", DETECTOR, *PANELS[1:]),
    lines=LINES,
    claims_of=claims_of,
    draw=draw,
    note="No figure of the paper: it projects where updates are few only. The detector "
    "is nap_optax.cusum() on the mean size of the TD error of each batch: one cycle "
    "when learning starts, low rates behind it, and a cycle for each alarm.",
)
