"""Figure 4 of Lyle et al. (2025): warm start, projected or free."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.reproduce import growing_data
from experiments.reproduce.claims import Claim
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config

LINES: dict[str, dict[str, Any]] = {
    "projected": {"project": True},
    "free": {"project": False},
}
# Final test accuracies read off figure 4 of arXiv 2507.20057.
PAPER = {
    "projected, 10%": 0.795,
    "projected, 50%": 0.797,
    "projected, 100%": 0.795,
    "free, 10%": 0.677,
    "free, 50%": 0.720,
    "free, 100%": 0.738,
}
METRICS = {
    "test_accuracy": "test accuracy",
    "feature_covariance_change": "change of the\nfeatures' covariance",
    "activation_pattern_change": "share of ReLUs\nthat flip",
    "update_norm": "norm of an update",
    "weight_norm": "norm of all matrices",
}


def norm_growth(runs: Runs) -> Any:
    """The free network's norm at the end over the projected one's, from 10 %."""
    free, projected = (
        runs.late(growing_data.name(line, 0.1), metric="weight_norm", last=1)
        for line in ("free", "projected")
    )
    return free / projected


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """What must hold, at both scales."""
    return (
        growing_data.gap_claim(
            "free", "early data hinder", at_least=0.02, paper=".061 (.738 less .677)"
        ),
        growing_data.gap_claim(
            "projected", "it catches up", at_most=0.01, paper=".000 (.795 less .795)"
        ),
        growing_data.better_claim("projected", "free", 0.1, ".118 (.795 less .677)"),
        growing_data.better_claim("projected", "free", 1.0, ".057 (.795 less .738)"),
        Claim(
            says="free norms grow: norm at the end over the projected one, from 10 %",
            measure=norm_growth,
            at_least=5,
            paper="73 (1477 over 20.1)",
        ),
    )


FIGURE = growing_data.figure(
    "lyle2025/fig4",
    "warm start: projected weights catch up with a network that had all data from the "
    "beginning, free ones do not",
    LINES,
    claims_of=claims_of,
    draw=functools.partial(
        growing_data.draw_lines, lines=LINES, metrics=METRICS, paper=PAPER
    ),
)
