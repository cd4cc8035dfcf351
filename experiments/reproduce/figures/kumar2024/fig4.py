"""Figure 4 of Kumar et al. (2024): mean-field theory, by the amount of data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.dmft.family import FAMILY
from experiments.reproduce import lazy_rich, mean_field
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import Size
from experiments.reproduce.runs import Runs

NUS = (1.0, 2.0, 5.0, 20.0)


def name(nu: float) -> str:
    """Names an arm."""
    return f"P = {nu:g} D"


NAMES = tuple(map(name, NUS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(nu): Config(nu=nu, **size) for nu in NUS}


def widest_gap(runs: Runs, arm: str) -> np.ndarray:
    """The largest difference of test and training loss, for each seed."""
    return runs.curve(arm, "gap")[1].max(axis=1)


CLAIMS = (
    *mean_field.agrees(NAMES),
    lazy_rich.rising_claim(
        "the more data, the smaller the largest gap of test and training loss",
        NAMES,
        widest_gap,
        falling=True,
        paper="smaller",
    ),
    Claim(
        says="at P = D the test loss rises: at the end over that of the initial units",
        measure=lambda runs: (
            lazy_rich.final(runs, name(1.0))
            / mean_field.initial(runs, name(1.0), "test_loss")
        ),
        at_least=1.05,
        paper="rises",
    ),
    Claim(
        says="at P = 20 D it falls with the training loss: the largest gap",
        measure=lambda runs: widest_gap(runs, name(20.0)),
        at_most=0.15,
        paper="little gap",
    ),
)

FIGURE = lazy_rich.figure(
    "kumar2024/fig4",
    "dynamical mean-field theory predicts the loss curves",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_samples": 3000, "num_replicas": 2},
        "Two units, 60 updates. Networks: 40 of D = 300, their units with exactly the "
        "theory's overlaps.",
    ),
    paper=Size({"overlaps": (0.3, 0.1, 0.0, -0.2, 0.1), "num_steps": 50}),
    draw=mean_field.draw,
    table=mean_field.table,
    measure=mean_field.simulate,
)
