"""Figure 11 of Lyle et al. (2025): few updates, more variants in aggregate."""

import functools
from collections.abc import Mapping

from experiments.atari.config import Config
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import figures, panels
from experiments.reproduce.figures.lyle2025 import fig6

LINES = {
    **fig6.LINES,
    fig6.STOPPED: "four cycles,\nstopped early",
    fig6.RESETS_AND_CYCLES: "resets and\nfour cycles",
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""
    return (
        fig6.better(arms, fig6.STOPPED, fig6.CONSTANT),
        fig6.better(arms, fig6.RESETS_AND_CYCLES, fig6.RESETS),
        fig6.better(arms, fig6.CYCLES, fig6.STOPPED),
        fig6.better(arms, fig6.CYCLES, fig6.RESETS_AND_CYCLES),
        fig6.better(arms, fig6.ONE_CYCLE, fig6.CYCLES),
    )


FIGURE = figures.figure(
    "lyle2025/fig11",
    "few updates, projected: early stops and resets beside plain cycles",
    fig6.PROGRAMS,
    lines=LINES,
    claims_of=claims_of,
    draw=functools.partial(panels.draw_aggregates, paper=fig6.PAPER),
    note="The same runs as figure 6's. Cycles stop after three of four, at three "
    "quarters of the budget; a cycle takes as long as from one reset to the next.",
)
