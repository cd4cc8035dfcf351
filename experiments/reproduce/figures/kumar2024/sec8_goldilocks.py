"""Appendix 8.4.1 of Kumar et al. (2024): too little, enough and too much data."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES, Size

PER_DIMENSION = (1, 2, 4, 5, 8, 15)


def name(examples: int) -> str:
    """Names an arm."""
    return f"P = {examples} D"


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(examples): Config(
            **{**size, "num_train": examples * size["dimension"]},
        )
        for examples in PER_DIMENSION
    }


NAMES = tuple(map(name, PER_DIMENSION))
CLAIMS = (
    Claim(
        says="P = D is too little: final test loss (that of the zero network is .75)",
        measure=lambda runs: lazy_rich.final(runs, NAMES[0]),
        at_least=0.75,
        paper="worse than at first",
    ),
    Claim(
        says="and what it has learned is linear: linear power over the final test loss",
        measure=lambda runs: (
            lazy_rich.final(runs, NAMES[0], "test_linear")
            / lazy_rich.final(runs, NAMES[0])
        ),
        at_least=0.2,
        paper="power in linear components",
    ),
    Claim(
        says="P = 5 D is enough to grok: updates to the test loss .25 over those to "
        "the training loss .1",
        measure=lambda runs: SQUARES.ratio(runs, name(5)),
        at_least=1.3,
        paper="late",
    ),
    Claim(
        says="P = 15 D is too much to grok: the same ratio",
        measure=lambda runs: SQUARES.ratio(runs, name(15)),
        at_most=1.1,
        paper="no gap",
    ),
    lazy_rich.rising_claim(
        "the more data, the lower the final test loss",
        NAMES,
        lazy_rich.final,
        falling=True,
    ),
)


FIGURE = squares.figure(
    name="kumar2024/sec8_goldilocks",
    title="too little data to generalise, enough to grok, and too much",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=Size(
        squares.LAPTOP,
        "D = 50 instead of what we read as D = 100; the paper's 50, 120 and 500 "
        "examples are of a D that it does not print, so the arms are multiples of D.",
    ),
    draw=functools.partial(
        lazy_rich.draw_all,
        sweep=True,
        panels={"test_linear": "linear power"},
    ),
    table=lazy_rich.table,
)
