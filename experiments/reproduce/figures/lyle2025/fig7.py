"""Figure 7 of Lyle et al. (2025): many updates, and cycles that stop early."""

from collections.abc import Mapping

from experiments.atari.config import Config
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import figures, scores, sizes

PROGRAM = "many updates, free"
HIGH, LOW, CYCLIC, STOPPED = (
    sizes.line_name(PROGRAM, line)
    for line in ("constant high", "constant low", "cyclic", "stopped late")
)
LINES = {
    HIGH: "constant high (baseline)",
    LOW: "constant low",
    CYCLIC: "cyclic",
    STOPPED: "cyclic, stopped early",
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales.

    The paper's numbers are those that could be read off figure 7b of arXiv 2507.20057,
    as human-normalised scores.
    """
    return (
        scores.lost_claim(
            arms,
            HIGH,
            "WizardOfWor .45, Krull .51, Hero .15",
            at_least=scores.MARGIN,
        ),
        scores.better_claim(arms, CYCLIC, HIGH, "WizardOfWor .06, Krull 2.8, Hero .20"),
        scores.better_claim(
            arms, STOPPED, HIGH, "WizardOfWor 1.6, Krull 7.5 to 8.3, Hero .07"
        ),
        scores.better_claim(
            arms, STOPPED, CYCLIC, "WizardOfWor 1.5, Krull 4.7 to 5.6, Hero -.13"
        ),
        scores.better_claim(arms, STOPPED, LOW, "not read"),
    )


FIGURE = figures.figure(
    "lyle2025/fig7",
    "many updates: cycles that stop early end above a constant rate",
    (PROGRAM,),
    lines=LINES,
    claims_of=claims_of,
    note="The paper's agents with weight decay are left out.",
)
