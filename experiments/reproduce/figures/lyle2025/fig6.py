"""Figure 6 of Lyle et al. (2025): few updates, cycles against resets."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.atari.config import Config
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import figures, panels, scores, sizes

PROGRAMS = ("few updates, projected", "few updates, resets")
CONSTANT, ONE_CYCLE, CYCLES, STOPPED = (
    sizes.line_name(PROGRAMS[0], line)
    for line in ("constant high", "one cycle", "cyclic", "stopped late")
)
RESETS, RESETS_AND_CYCLES = (
    sizes.line_name(PROGRAMS[1], line) for line in ("constant high", "cyclic")
)
LINES = {
    CONSTANT: "constant",
    RESETS: "resets",
    ONE_CYCLE: "one cycle",
    CYCLES: "four cycles",
}
# Human-normalised IQMs read off figures 6a and 11 of arXiv 2507.20057.
PAPER = {
    CONSTANT: 2.870,
    RESETS: 2.876,
    ONE_CYCLE: 3.778,
    CYCLES: 3.528,
    RESETS_AND_CYCLES: 3.063,
    STOPPED: 3.051,
}


def better(arms: Mapping[str, Config], one: str, other: str, **bounds: Any) -> Claim:
    """Claims that one line ends above another, as in the paper."""
    paper = f"{PAPER[one] - PAPER[other]:.3f} ({PAPER[one]} less {PAPER[other]})"
    return scores.better_claim(arms, one, other, paper, **bounds)


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""
    return (
        better(arms, ONE_CYCLE, CONSTANT),
        better(arms, CYCLES, CONSTANT),
        better(arms, RESETS, CONSTANT, at_least=None, at_most=scores.MARGIN),
        better(arms, CYCLES, RESETS),
    )


FIGURE = figures.figure(
    "lyle2025/fig6",
    "few updates, projected: cycles end above a constant rate, resets do not",
    PROGRAMS,
    lines=LINES,
    claims_of=claims_of,
    draw=functools.partial(panels.draw_aggregates, paper=PAPER),
    note="Resets are of the output layers (Nikishin et al., 2022); the paper does not "
    "say which.",
)
