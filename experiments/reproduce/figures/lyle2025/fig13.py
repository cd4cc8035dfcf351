"""Figure 13 of Lyle et al. (2025): re-warming beyond the first learning rate."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.reproduce import growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.warm_start.config import Config

RATES = (1e-3, 1e-4)
LINES: dict[str, dict[str, Any]] = {
    f"to {label}, {rate:g}": {"schedule": schedule, "learning_rate": rate}
    for rate in RATES
    for label, schedule in (("init", "aligned"), ("2x init", "growing"))
}
# Final test accuracies read off figure 13 of arXiv 2507.20057; two could not be read.
PAPER = {
    "to init, 0.001, 10%": 0.781,
    "to init, 0.001, 100%": 0.794,
    "to 2x init, 0.001, 10%": 0.7915,
    "to 2x init, 0.001, 50%": 0.794,
    "to 2x init, 0.001, 100%": 0.789,
    "to init, 0.0001, 10%": 0.695,
    "to init, 0.0001, 50%": 0.704,
    "to init, 0.0001, 100%": 0.715,
    "to 2x init, 0.0001, 10%": 0.737,
    "to 2x init, 0.0001, 50%": 0.738,
    "to 2x init, 0.0001, 100%": 0.741,
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""

    def narrower(rate: float, paper: str) -> Claim:
        return Claim(
            says=f"from {rate:g}, a doubled peak narrows the gap between 100 % and "
            "10 %: gap with it less the gap without",
            measure=lambda runs: (
                growing_data.gap(runs, f"to 2x init, {rate:g}")
                - growing_data.gap(runs, f"to init, {rate:g}")
            ),
            at_most=-growing_data.MARGIN,
            paper=paper,
        )

    return (
        narrower(RATES[0], "-.015 (-.002 less .013)"),
        narrower(RATES[1], "-.016 (.0045 less .020)"),
        growing_data.better_claim(
            "to 2x init, 0.0001", "to init, 0.0001", 0.1, ".042 (.737 less .695)"
        ),
    )


FIGURE = growing_data.figure(
    "lyle2025/fig13",
    "warm start, re-warming beyond the first learning rate",
    LINES,
    fewer_fractions=growing_data.FEWER,
    claims_of=claims_of,
    draw=functools.partial(
        growing_panels.draw_lines,
        lines=LINES,
        metrics={"test_accuracy": "test accuracy"},
        paper=growing_panels.at_the_end(PAPER),
    ),
    note="Projected. The paper's text says an order of magnitude above the first "
    "rate, its figure twice; this is twice.",
)
