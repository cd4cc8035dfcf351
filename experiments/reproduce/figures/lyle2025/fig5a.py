"""Figure 5, left, of Lyle et al. (2025): learning rates that differ by layer."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.reproduce import growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.warm_start.config import Config

LINES: dict[str, dict[str, Any]] = {
    "constant, 0.001": {"learning_rate": 1e-3},
    "fast features, 0.001": {"layer_rates": "fast_features", "learning_rate": 1e-3},
    "slow features, 0.01": {"layer_rates": "slow_features", "learning_rate": 1e-2},
    "slow features, 0.001": {"layer_rates": "slow_features", "learning_rate": 1e-3},
    "even ratio, 0.001": {"layer_rates": "even_ratio", "learning_rate": 1e-3},
}
# Test accuracies at the end read off figure 5 of arXiv 2507.20057, from 10, 50, 100 %.
PAPER_FINALS = {
    "constant, 0.001": (0.782, 0.787, 0.795),
    "fast features, 0.001": (0.788, 0.792, 0.796),
    "slow features, 0.01": (0.7775, 0.785, 0.785),
    "slow features, 0.001": (0.703, 0.704, 0.712),
    "even ratio, 0.001": (0.783, 0.782, 0.780),
}
PAPER = {
    growing_data.name(line, fraction): value
    for line, values in PAPER_FINALS.items()
    for fraction, value in zip(growing_data.FRACTIONS, values, strict=True)
}
METRICS = {
    "test_accuracy": "test accuracy",
    "dormant_fraction": "share of dormant units",
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""
    return (
        *(
            growing_data.gap_claim(
                line,
                "it catches up",
                at_most=0.02,
                paper=f"{finals[2] - finals[0]:.3f}",
            )
            for line, finals in PAPER_FINALS.items()
        ),
        growing_data.better_claim(
            "fast features, 0.001",
            "slow features, 0.001",
            0.1,
            ".085 (.788 less .703)",
        ),
        growing_data.better_claim(
            "slow features, 0.01",
            "slow features, 0.001",
            0.1,
            ".075 (.778 less .703): features that learn as fast as with constant rates",
        ),
    )


FIGURE = growing_data.figure(
    "lyle2025/fig5a",
    "learning rates that differ by layer: what counts is how fast the features learn",
    LINES,
    fewer_fractions=growing_data.FEWER,
    sizes=growing_data.SHORTER,
    claims_of=claims_of,
    draw=functools.partial(
        growing_panels.draw_lines,
        lines=LINES,
        metrics=METRICS,
        paper=growing_panels.at_the_end(PAPER),
    ),
    note="Projected. Our even ratio keeps the mean rate of all weights at the "
    "schedule's; the paper's rate of 0.1 is the share of each layer's L1 norm.",
)
