"""Figure 4 of Lyle et al. (2025): warm start, projected or free."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.reproduce import drawing, growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config

LINES: dict[str, dict[str, Any]] = {
    "projected": {"project": True},
    "free": {"project": False},
}
# Read off figure 4 of arXiv 2507.20057: share of the 27,950 updates, test accuracy.
PAPER = {
    "projected, 10%": drawing.points(
        "0.000:.100 0.004:.490 0.050:.556 0.100:.534 0.199:.519 0.250:.560 "
        "0.394:.617 0.501:.603 0.503:.496 0.553:.600 0.635:.641 0.753:.701 "
        "0.855:.779 0.923:.798 1.000:.795"
    ),
    "projected, 50%": drawing.points(
        "0.000:.098 0.004:.500 0.050:.573 0.100:.593 0.199:.637 0.250:.684 "
        "0.394:.750 0.501:.745 0.503:.475 0.553:.581 0.635:.625 0.753:.695 "
        "0.855:.757 0.923:.793 1.000:.800"
    ),
    "projected, 100%": drawing.points(
        "0.000:.101 0.004:.505 0.050:.566 0.100:.585 0.199:.630 0.250:.696 "
        "0.394:.779 0.501:.792 0.503:.406 0.553:.585 0.635:.585 0.753:.698 "
        "0.855:.769 0.923:.788 1.000:.796"
    ),
    "free, 10%": drawing.points(
        "0.000:.102 0.004:.521 0.050:.526 0.073:.372 0.100:.466 0.199:.473 "
        "0.249:.470 0.394:.469 0.501:.467 0.503:.539 0.508:.609 0.553:.651 "
        "0.635:.653 0.753:.680 0.855:.680 0.923:.685 1.000:.676"
    ),
    "free, 50%": drawing.points(
        "0.000:.098 0.004:.609 0.050:.689 0.100:.414 0.199:.673 0.250:.670 "
        "0.394:.671 0.501:.672 0.503:.692 0.553:.692 0.635:.696 0.753:.719 "
        "0.855:.718 0.923:.717 1.000:.718"
    ),
    "free, 100%": drawing.points(
        "0.000:.102 0.005:.668 0.050:.706 0.100:.714 0.199:.733 0.250:.730 "
        "0.394:.729 0.501:.734 0.503:.735 0.558:.734 0.635:.730 0.753:.733 "
        "0.855:.741 0.923:.739 1.000:.734"
    ),
}
METRICS = {
    "test_accuracy": "test accuracy",
    "feature_covariance_change": "change of the\nfeatures' covariance",
    "activation_pattern_change": "share of ReLUs\nthat flip",
    "update_norm": "norm of an update",
    "weight_norm": "norm of all matrices",
}


def norm_growth(runs: Runs) -> Any:
    """The free network's final norm over the projected network's, from 10 %."""
    free, projected = (
        runs.late(growing_data.name(line, 0.1), metric="weight_norm", last=1)
        for line in ("free", "projected")
    )
    return free / projected


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims, at all scales."""
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
        growing_panels.draw_lines, lines=LINES, metrics=METRICS, paper=PAPER
    ),
)
