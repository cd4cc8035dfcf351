"""A study of our own: from lazy to rich on demand, where the theory is known.

Weights that solve the task, uncentred, have the mean square 1 / (alpha epsilon). The
initial one is 1, and projection holds it: so at alpha epsilon = 1, which the lazy and
the rich setting share, a projected network can hold a solution; elsewhere the closest
it can come is a test loss of 3/4 (1 - alpha epsilon)^2, for alpha epsilon below 1.

The first run showed a training loss that rises at held norms; the arms of gradient
descent and of tangential gradients were added to it; their claims say so.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.polynomial.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import SQUARES, Size
from experiments.reproduce.lazy_to_rich import (
    CONSTANT,
    FREE,
    MEAN,
    PROJECTED,
    TANGENTIAL,
    Study,
)
from experiments.reproduce.runs import Runs

STUDY = Study(lazy="alpha = 10", rich="alpha = 1", learned=SQUARES)
SETTINGS: dict[str, dict[str, float]] = {
    STUDY.lazy: {"alpha": 10.0, "epsilon": 0.1},
    STUDY.rich: {"alpha": 1.0, "epsilon": 1.0},
}
DESCENT = "gradient descent"
SMALL = "solution of ten times the power"
SMALL_ALPHA, SMALL_EPSILON = 1.0, 0.1
FLOOR = 0.75 * (1 - SMALL_ALPHA * SMALL_EPSILON) ** 2


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    arms = STUDY.arms(Config, SETTINGS, size)
    settings = {"alpha": SMALL_ALPHA, "epsilon": SMALL_EPSILON}
    elsewhere = STUDY.arms(Config, {SMALL: settings}, size)
    return (
        arms
        | {
            arm: elsewhere[arm]
            for arm in (STUDY.name(SMALL, own, MEAN) for own in (FREE, PROJECTED))
        }
        | {
            STUDY.name(STUDY.rich, own, DESCENT): dataclasses.replace(
                arms[STUDY.name(STUDY.rich, own, CONSTANT)],
                optimizer="gd",
                learning_rate=0.5,
            )
            for own in (FREE, PROJECTED)
        }
    )


def rebound(runs: Runs, rate: str) -> np.ndarray:
    """The final over the lowest training loss of the projected rich network."""
    _, losses = runs.curve(STUDY.name(STUDY.rich, PROJECTED, rate), "train_loss")
    return losses[:, -1] / losses.min(axis=1)


def _rebound(rate: str, **bounds: Any) -> Claim:
    return Claim(
        says=f"asked after the first run: {STUDY.rich}, projected, {rate}: final over "
        "lowest training loss",
        measure=lambda runs: rebound(runs, rate),
        **bounds,
    )


def _final(
    constraint: str, *, at_least: float | None = None, at_most: float | None = None
) -> Claim:
    return Claim(
        says=f"{SMALL} (alpha = 1, epsilon = 0.1), {constraint}, mean rate: final test "
        f"loss (projected, the closest is {FLOOR:.3g}, less 2 % for the initial norm)",
        measure=lambda runs: lazy_rich.final(runs, STUDY.name(SMALL, constraint, MEAN)),
        at_least=at_least,
        at_most=at_most,
    )


CLAIMS = (
    *STUDY.claims(),
    Claim(
        says="at alpha epsilon = 1 projection costs nothing: final test loss at alpha "
        "= 1, mean rate, projected over free",
        measure=lambda runs: (
            lazy_rich.final(runs, STUDY.name(STUDY.rich, PROJECTED, MEAN))
            / lazy_rich.final(runs, STUDY.name(STUDY.rich, FREE, MEAN))
        ),
        at_most=1.5,
    ),
    _final(PROJECTED, at_least=0.98 * FLOOR),
    _final(FREE, at_most=0.25),
    _rebound(MEAN, at_least=1.5),
    _rebound(DESCENT, at_most=1.05),
    _rebound(TANGENTIAL, at_most=1.05),
    Claim(
        says=f"asked after the first run: {STUDY.rich}, projected, mean rate: final "
        "test loss with tangential gradients over that of the free network",
        measure=lambda runs: (
            lazy_rich.final(runs, STUDY.name(STUDY.rich, PROJECTED, TANGENTIAL))
            / lazy_rich.final(runs, STUDY.name(STUDY.rich, FREE, MEAN))
        ),
        at_most=1.5,
    ),
)


def table(runs: Runs, preset: Preset) -> str:
    """A table of all arms."""
    return STUDY.table(runs, preset)


def draw(runs: Runs, preset: Preset) -> Any:
    """A picture of the two settings."""
    return STUDY.draw(runs, preset)


FIGURE = lazy_rich.figure(
    "nap/lazy_to_rich",
    "does projection with re-warming move a lazy network on demand? Regression of a "
    "square",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {
            **{"dimension": 50, "num_train": 250, "width": 100, "center": False},
            **{"optimizer": "adam", "learning_rate": 1e-3},
            **{"num_steps": 4000, "eval_every": 25},
        },
        "Adam, uncentred, N = 100. The rate is .001; re-warmed, it is held for a "
        "quarter of the run and then peaks three times at .01.",
    ),
    paper=Size(
        {
            **{"dimension": 100, "num_train": 400, "width": 500, "center": False},
            **{"optimizer": "adam", "learning_rate": 1e-3},
            **{"num_steps": 20_000, "eval_every": 100},
        }
    ),
    draw=draw,
    table=table,
)
