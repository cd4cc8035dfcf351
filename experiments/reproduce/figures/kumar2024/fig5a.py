"""Figure 5(a) of Kumar et al. (2024): images, from large weights."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.images.config import Config
from experiments.lazy_rich.images.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import Learned, Size

ALPHAS = (0.01, 0.1, 0.3, 1.0)
LEARNED = Learned("accuracy", train=0.95, test=0.75)
"""Of test images, no network classifies many more than .8."""


def name(alpha: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}"


NAMES = tuple(map(name, ALPHAS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(alpha): Config(alpha=alpha, **size) for alpha in ALPHAS}


CLAIMS = (
    lazy_rich.rising_claim(
        "the lazier, the later it generalises: updates to .75 of the test images",
        NAMES,
        LEARNED.generalised,
        paper="later",
    ),
    Claim(
        says="at alpha = 1 it groks: updates to .75 of the test images over those to "
        ".95 of the training images",
        measure=lambda runs: LEARNED.ratio(runs, name(1.0)),
        at_least=1.5,
        paper="late",
    ),
    Claim(
        says="at alpha = 0.01 it does not: the same ratio",
        measure=lambda runs: LEARNED.ratio(runs, name(0.01)),
        at_most=1.1,
        paper="no delay",
    ),
)

table = functools.partial(
    lazy_rich.table, learned=LEARNED, columns={"test over training": LEARNED.ratio}
)


FIGURE = lazy_rich.figure(
    "kumar2024/fig5a",
    "images: alpha makes grokking vanish",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_steps": 10_000, "eval_every": 100},
        "1000 images of Fashion-MNIST instead of MNIST, weights times 8 and a decay of "
        ".1 (ten times that of Liu et al., 2022), for 10,000 updates.",
    ),
    paper=Size({"num_steps": 100_000, "eval_every": 500, "weight_decay": 0.01}),
    draw=functools.partial(lazy_rich.draw_classes, sweep=True),
    table=table,
)
