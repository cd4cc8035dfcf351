"""Figure 6 of Kumar et al. (2024): output, label and initial scale are one laziness."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES
from experiments.reproduce.runs import Runs

FACTOR, EPSILON = 3.0, 0.1  # no power of two, which would scale without rounding
RICH = "alpha = 1"
OUTPUT = "alpha = 3"
LABELS = "labels over 3"
WEIGHTS = "initial weights times 3, epsilon over 3"
WEIGHTS_ALONE = "initial weights times 3"
CHANGES: dict[str, dict[str, float]] = {
    RICH: {},
    OUTPUT: {"alpha": FACTOR},
    LABELS: {"label_scale": 1 / FACTOR},
    WEIGHTS: {"weight_scale": FACTOR, "epsilon": EPSILON / FACTOR},
    WEIGHTS_ALONE: {"weight_scale": FACTOR},
}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name: Config(**{**size, "epsilon": EPSILON, **changes})
        for name, changes in CHANGES.items()
    }


def difference(runs: Runs, arm: str) -> np.ndarray:
    """The largest relative difference of the test loss from that at alpha 3."""
    _, ours = runs.curve(arm, "test_loss")
    _, theirs = runs.curve(OUTPUT, "test_loss")
    return np.max(np.abs(ours / theirs - 1), axis=1)


def _same(arm: str) -> Claim:
    return Claim(
        says=f"{arm}, alpha = 1: the largest relative difference of its test loss from "
        "that at alpha = 3, along the run",
        measure=lambda runs: difference(runs, arm),
        at_most=0.01,
        paper="the same effect",
    )


def _later(arm: str) -> Claim:
    return Claim(
        says=f"{arm}: delay over that of the network with nothing changed",
        measure=lambda runs: SQUARES.delay(runs, arm) / SQUARES.delay(runs, RICH),
        at_least=1.5,
        paper="later",
    )


CLAIMS = (_same(LABELS), _same(WEIGHTS), _later(OUTPUT), _later(WEIGHTS_ALONE))


FIGURE = squares.figure(
    name="kumar2024/fig6",
    title="output scale, label scale and initial scale are equivalent",
    arms_of=_arms,
    claims=CLAIMS,
    draw=functools.partial(
        lazy_rich.draw_all,
        panels=lazy_rich.NORMS,
    ),
    table=lazy_rich.table,
)
