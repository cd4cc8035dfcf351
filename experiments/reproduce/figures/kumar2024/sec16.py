"""Appendix 16.1 of Kumar et al. (2024): targets of several directions."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import claims, first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import Learned, Size
from experiments.reproduce.runs import Runs

EXAMPLES = {1: (5,), 2: (5, 8), 3: (8, 12)}
"""P over D, by the number of directions."""


def name(directions: int, examples: int) -> str:
    """Names an arm."""
    index = {1: "one direction", 2: "two directions", 3: "three directions"}
    return f"{index[directions]}, P = {examples} D"


NAMES = {
    name(directions, examples): directions
    for directions, several in EXAMPLES.items()
    for examples in several
}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(directions, examples): Config(
            num_directions=directions,
            **{**size, "num_train": examples * size["dimension"]},
        )
        for directions, several in EXAMPLES.items()
        for examples in several
    }


def learned(arm: str) -> Learned:
    """A fifth of the mean square of the target, which is K / 2 + K^2 / 4."""
    own = NAMES[arm]
    level = 0.2 * (own / 2 + own**2 / 4)
    return Learned("loss", train=level, test=level)


def ratio(runs: Runs, arm: str) -> np.ndarray:
    """Updates to that on test over those on training inputs."""
    return learned(arm).ratio(runs, arm)


CLAIMS = tuple(
    claim
    for arm in (name(2, 8), name(3, 12))
    for claim in (
        Claim(
            says=f"{arm}: it groks: updates to a fifth of the zero network's test loss "
            "over those to a fifth of its training loss",
            measure=functools.partial(ratio, arm=arm),
            at_least=1.5,
            paper="late",
        ),
        Claim(
            says=f"{arm}: highest test loss over the initial one",
            measure=functools.partial(first_losses.rise, arm=arm),
            at_least=1.03,
            paper="rises",
        ),
    )
)


def table(runs: Runs, preset: Preset) -> str:
    """Updates to a fifth of what the target has, and the losses."""
    rows = [
        (
            arm,
            claims.spread(learned(arm).fitted(runs, arm)),
            claims.spread(learned(arm).generalised(runs, arm)),
            claims.spread(first_losses.rise(runs, arm)),
            claims.spread(lazy_rich.final(runs, arm)),
            claims.spread(lazy_rich.final(runs, arm, "weight_norm_ratio")),
        )
        for arm in preset.arms
    ]
    header = (
        "arm",
        "training loss < a fifth",
        "test loss < a fifth",
        "highest over initial test loss",
        "final test loss",
        "weight norm at the end",
    )
    return claims.table(header, rows)


FIGURE = squares.figure(
    name="kumar2024/sec16",
    title="targets of several directions",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=Size(
        squares.LAPTOP | {"center": False},
        "D = 50. The target is half the sum of the squared projections; the paper "
        "prints a sum of linear terms. Uncentred.",
    ),
    paper=Size(squares.PAPER | {"center": False}),
    draw=functools.partial(
        lazy_rich.draw_all,
        panels=lazy_rich.NORMS,
    ),
    table=table,
    from_start=True,
)
