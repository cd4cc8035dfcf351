"""Appendix 16.2 of Kumar et al. (2024): targets of higher degree."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.hermite.config import Config
from experiments.lazy_rich.hermite.family import FAMILY
from experiments.reproduce import first_losses, lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import Learned, Size

LEARNED = Learned("loss", train=0.2, test=0.2)
"""A fifth of the target's mean square."""
CUBIC, LAZY_CUBIC, QUARTIC = "degree 3, alpha = 2", "degree 3, alpha = 8", "degree 4"
TARGETS: dict[str, dict[str, Any]] = {
    CUBIC: {"degree": 3},
    LAZY_CUBIC: {"degree": 3, "alpha": 8.0},
    QUARTIC: {
        **{"degree": 4, "dimension": 10, "num_train": 600},
        **{"alpha": 8.0, "epsilon": 0.1, "learning_rate": 0.5},
    },
}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name: Config(**{**size, **own}) for name, own in TARGETS.items()}


CLAIMS = (
    *(
        Claim(
            says=f"{arm}: it groks: updates to the test loss .2 over those to the "
            "training loss .2",
            measure=functools.partial(LEARNED.ratio, arm=arm),
            at_least=1.3,
            paper="late",
        )
        for arm in (CUBIC, LAZY_CUBIC, QUARTIC)
    ),
    Claim(
        says=f"{LAZY_CUBIC} fits later than {CUBIC}: ratio of the updates",
        measure=lambda runs: (
            LEARNED.fitted(runs, LAZY_CUBIC) / LEARNED.fitted(runs, CUBIC)
        ),
        at_least=2,
    ),
)

table = functools.partial(
    lazy_rich.table,
    learned=LEARNED,
    columns={"highest over initial": first_losses.rise},
)


FIGURE = lazy_rich.figure(
    "kumar2024/sec16_hermite",
    "targets of higher degree",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_steps": 6000, "eval_every": 10},
        "D = 20, P = 300 for degree 3, D = 10, P = 600 for degree 4; N = 100, centred.",
    ),
    paper=Size({"num_steps": 30_000, "eval_every": 50, "width": 500}),
    draw=functools.partial(
        lazy_rich.draw_all,
        panels=lazy_rich.NORMS,
    ),
    table=table,
    from_start=True,
)
