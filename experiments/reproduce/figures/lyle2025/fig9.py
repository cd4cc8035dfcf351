"""Figure 9 of Lyle et al. (2025): five cycles, data added within the third."""

import functools
from collections.abc import Mapping

from experiments.reproduce import growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.reproduce.figures.lyle2025 import fig4 as aligned
from experiments.warm_start.config import Config

LINES = {
    line: {**settings, "schedule": "five_cycles"}
    for line, settings in aligned.LINES.items()
}
# Final test accuracies read off figure 9 of arXiv 2507.20057.
PAPER = {
    "projected, 10%": 0.796,
    "projected, 100%": 0.797,
    "free, 10%": 0.671,
    "free, 50%": 0.716,
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""
    return (
        growing_data.gap_claim(
            "projected", "it catches up", at_most=0.01, paper=".001 (.797 less .796)"
        ),
        growing_data.gap_claim(
            "free", "early data hinder", at_least=0.02, paper="about .06 (.73 less .67)"
        ),
        growing_data.better_claim("projected", "free", 0.1, ".125 (.796 less .671)"),
    )


FIGURE = growing_data.figure(
    "lyle2025/fig9",
    "warm start under cycles that do not meet the change of data",
    LINES,
    claims_of=claims_of,
    draw=functools.partial(
        growing_panels.draw_lines,
        lines=LINES,
        metrics=aligned.METRICS,
        paper=growing_panels.at_the_end(PAPER),
    ),
)
