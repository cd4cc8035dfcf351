"""Appendix 15 of Kumar et al. (2024): momentum, and Adam."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES, Size

DESCENT, MOMENTUM, FAST, ADAM = (
    "gradient descent",
    "momentum .95, a twentieth of the rate",
    "momentum .95, a quarter of the rate",
    "Adam",
)
OPTIMIZERS: dict[str, dict[str, Any]] = {
    DESCENT: {},
    MOMENTUM: {"optimizer": "momentum", "learning_rate": 0.1},
    FAST: {"optimizer": "momentum", "learning_rate": 0.5},
    ADAM: {"optimizer": "adam", "learning_rate": 0.01},
}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name: Config(**{**size, **own}) for name, own in OPTIMIZERS.items()}


def _groks(arm: str, at_least: float) -> Claim:
    return Claim(
        says=f"{arm}: updates to the test loss .25 over those to the training loss .1",
        measure=lambda runs: SQUARES.ratio(runs, arm),
        at_least=at_least,
        paper="late" if arm in (MOMENTUM, FAST) else "",
    )


CLAIMS = (
    Claim(
        says="momentum with a twentieth of the rate is gradient descent: ratio of the "
        "updates to the test loss .25",
        measure=lambda runs: (
            SQUARES.generalised(runs, MOMENTUM) / SQUARES.generalised(runs, DESCENT)
        ),
        at_least=0.8,
        at_most=1.25,
        paper="broadly the same shape",
    ),
    Claim(
        says=f"{FAST}: the test loss rises first: its highest over that of the initial "
        "network",
        measure=lambda runs: first_losses.rise(runs, FAST),
        at_least=1.1,
        paper="rises, with bumps",
    ),
    *(_groks(arm, 1.3) for arm in OPTIMIZERS),
)

table = functools.partial(
    lazy_rich.table,
    columns={
        "test over training": SQUARES.ratio,
        "highest over initial": first_losses.rise,
    },
)


FIGURE = squares.figure(
    name="kumar2024/sec15",
    title="momentum changes the speed, not the kind",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=Size(
        squares.LAPTOP | {"width": 100, "num_steps": 5000},
        "D = 50, P = 250, N = 100. The paper gives no rate for momentum and has no "
        "Adam on this task.",
    ),
    draw=functools.partial(
        lazy_rich.draw_all,
        panels=lazy_rich.NORMS,
    ),
    table=table,
    from_start=True,
)
