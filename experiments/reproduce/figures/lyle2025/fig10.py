"""Figure 10 of Lyle et al. (2025): many updates, and when to stop the cycles."""

from collections.abc import Mapping

from experiments.atari.config import Config
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import figures, scores, sizes
from experiments.reproduce.figures.lyle2025 import fig7

SOON, LATER, LATE = (
    sizes.line_name(fig7.PROGRAM, line)
    for line in ("stopped soon", "stopped later", "stopped late")
)
LINES = {
    SOON: "stopped soon",
    LATER: "stopped later",
    LATE: "stopped late",
    fig7.CYCLIC: "never stopped",
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales.

    The paper's numbers are of WizardOfWor, read off figures 7b and 10 of arXiv
    2507.20057, as human-normalised scores. Its curve of a stop after 20 million frames
    is that of a run that never stops, so it is no target.
    """
    return (
        scores.better_claim(arms, SOON, fig7.CYCLIC, "WizardOfWor 1.28"),
        scores.better_claim(arms, LATER, fig7.CYCLIC, "not to be read"),
        scores.better_claim(arms, LATE, fig7.CYCLIC, "WizardOfWor 1.54"),
        scores.better_claim(arms, LATE, SOON, "WizardOfWor .26"),
        scores.lost_claim(
            arms, LATE, "WizardOfWor 0: highest at the end", at_most=scores.MARGIN
        ),
    )


FIGURE = figures.figure(
    "lyle2025/fig10",
    "many updates: when to stop the cycles",
    (fig7.PROGRAM,),
    lines=LINES,
    claims_of=claims_of,
    note="The same runs as figure 7's.",
)
