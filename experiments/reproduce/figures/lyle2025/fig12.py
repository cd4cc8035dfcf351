"""Figure 12 of Lyle et al. (2025): few updates, each of the games."""

from collections.abc import Mapping

import numpy as np

from experiments.atari.config import Config
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import figures, scores
from experiments.reproduce.figures.lyle2025 import fig6
from experiments.reproduce.runs import Runs


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales; the paper has no such number."""

    def share(better: str) -> Claim:
        def measure(runs: Runs) -> np.ndarray:
            one, other = (
                scores.score_curves(runs, arms, line)[1][..., -1]
                for line in (better, fig6.CONSTANT)
            )
            return (one > other).mean(axis=1)

        return Claim(
            says=f"{better} ends above {fig6.CONSTANT}: share of the games",
            measure=measure,
            at_least=0.5,
            paper="not read: 57 panels",
        )

    return share(fig6.ONE_CYCLE), share(fig6.CYCLES)


FIGURE = figures.figure(
    "lyle2025/fig12",
    "few updates, projected: each of the games",
    fig6.PROGRAMS,
    lines=fig6.LINES,
    claims_of=claims_of,
    note="The same runs as figure 6's.",
)
