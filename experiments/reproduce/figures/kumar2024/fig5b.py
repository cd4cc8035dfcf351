"""Figure 5(b) of Kumar et al. (2024): a one-layer transformer."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.transformer.config import Config
from experiments.lazy_rich.transformer.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import CLASSES, Size

ALPHAS = (0.15, 0.5, 1.4, 4.0)
PAPER: dict[str, Any] = {
    "modulus": 113,
    "train_fraction": 0.3,
    "head_dim": 32,
    "mlp_dim": 512,
    "num_steps": 20_000,
    "eval_every": 100,
}
SMALL_NOTE = (
    "p = 31, width 64, MLP of 128 and 75 % of the pairs instead of p = 113, 128, 512 "
    "and 30 %."
)


def name(alpha: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}"


NAMES = tuple(map(name, ALPHAS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(alpha): Config(alpha=alpha, **size) for alpha in ALPHAS}


CLAIMS = (
    Claim(
        says="it groks: at alpha = 0.5, updates to .95 of the test pairs over those to "
        ".95 of the training pairs",
        measure=lambda runs: CLASSES.ratio(runs, name(0.5)),
        at_least=1.5,
        paper="late",
    ),
    lazy_rich.rising_claim(
        "the lazier, the later it generalises: updates to .95 of the test pairs",
        NAMES,
        CLASSES.generalised,
        paper="later",
    ),
    lazy_rich.rising_claim(
        "and the later it does in proportion to the training pairs",
        NAMES,
        CLASSES.ratio,
        paper="later",
    ),
)

FIGURE = lazy_rich.figure(
    "kumar2024/fig5b",
    "a one-layer transformer: alpha makes grokking vanish",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size({"num_steps": 3000, "eval_every": 50}, SMALL_NOTE),
    paper=Size(PAPER),
    draw=functools.partial(lazy_rich.draw_classes, sweep=True),
    table=lazy_rich.table_with_ratio(CLASSES),
)
