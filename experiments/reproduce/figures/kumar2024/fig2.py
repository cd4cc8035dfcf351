"""Figure 2 of Kumar et al. (2024): modular addition groks without weight decay."""

from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.modular.family import FAMILY
from experiments.reproduce import first_losses, lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import CLASSES, Size

ALPHAS = (0.25, 0.5, 1.0, 2.0)
PLAIN = "alpha = 1, uncentred"


def name(alpha: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}, centred"


NAMES = tuple(map(name, ALPHAS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {PLAIN: Config(center=False, **size)} | {
        name(alpha): Config(alpha=alpha, **size) for alpha in ALPHAS
    }


CLAIMS = (
    Claim(
        says=f"{PLAIN}: updates to .95 of the training pairs",
        measure=lambda runs: CLASSES.fitted(runs, PLAIN),
        at_least=1500,
        at_most=3000,
        paper="2000",
    ),
    Claim(
        says="and to .95 of the test pairs",
        measure=lambda runs: CLASSES.generalised(runs, PLAIN),
        at_least=3000,
        at_most=6500,
        paper="3000 to 4000",
    ),
    Claim(
        says="the weight norm grows: at the end over the initial one",
        measure=lambda runs: lazy_rich.final(runs, PLAIN, "weight_norm_ratio"),
        at_least=1.4,
        paper="grows",
    ),
    Claim(
        says="in the loss as well: highest test loss over the initial one, at alpha "
        "= 2",
        measure=lambda runs: first_losses.rise(runs, name(2.0)),
        at_least=1.05,
        paper="rises",
    ),
    lazy_rich.rising_claim(
        "the lazier, the later it generalises: updates to .95 of the test pairs",
        NAMES,
        CLASSES.generalised,
        paper="later",
    ),
    lazy_rich.rising_claim(
        "and the longer the delay from the training to the test pairs",
        NAMES,
        CLASSES.delay,
        paper="longer",
    ),
    Claim(
        says="little laziness ends grokking: at alpha = 0.25, updates to the test over "
        "those to the training pairs",
        measure=lambda runs: CLASSES.ratio(runs, name(0.25)),
        at_most=1.25,
        paper="no delay",
    ),
)

FIGURE = lazy_rich.figure(
    "kumar2024/fig2",
    "modular addition by gradient descent groks without weight decay",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_steps": 10_000, "eval_every": 50},
        "The paper's sizes (p = 23, 100 quadratic units, 90 % of the pairs, a rate of "
        "100 over alpha squared), for 10,000 updates.",
    ),
    paper=Size({"num_steps": 30_000, "eval_every": 50}),
    draw=lazy_rich.draw_classes,
    table=lazy_rich.table_with_ratio(CLASSES),
    from_start=True,
)
