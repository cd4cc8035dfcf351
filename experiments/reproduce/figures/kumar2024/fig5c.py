"""Figure 5(c) of Kumar et al. (2024): labels from eigenvectors of the kernel."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lazy_rich.eigenvector_labels.config import Config
from experiments.lazy_rich.eigenvector_labels.family import FAMILY
from experiments.reproduce import first_losses, lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import Learned, Size
from experiments.reproduce.runs import Runs

EIGENVECTORS = (1, 50, 70, 90, 110)
LEARNED = Learned("loss", train=0.25, test=0.25)
"""The labels have a mean square of 1."""


def name(eigenvector: int) -> str:
    """Names an arm."""
    return f"eigenvector {eigenvector}"


NAMES = tuple(map(name, EIGENVECTORS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(eigenvector): Config(eigenvector=eigenvector, **size)
        for eigenvector in EIGENVECTORS
    }


def first_alignment(runs: Runs, arm: str) -> np.ndarray:
    """The kernel's alignment with the training labels at the first evaluation."""
    return runs.curve(arm, "kernel_alignment")[1][:, 0]


CLAIMS = (
    lazy_rich.rising_claim(
        "the further down the spectrum, the less the kernel is aligned at first",
        NAMES,
        first_alignment,
        falling=True,
        paper="less",
    ),
    Claim(
        says="the first eigenvector is learned at once: updates from the training to "
        "the test loss .25",
        measure=lambda runs: LEARNED.delay(runs, name(1)),
        at_most=10,
        paper="at once",
    ),
    lazy_rich.rising_claim(
        "the further down the spectrum, the longer that delay",
        NAMES,
        LEARNED.delay,
        paper="longer",
    ),
    Claim(
        says="the 90th rises first: highest test loss over the initial one",
        measure=lambda runs: first_losses.rise(runs, name(90)),
        at_least=1.05,
        paper="rises",
    ),
    Claim(
        says="the 110th is not learned: final test loss (of the zero network: 1)",
        measure=lambda runs: lazy_rich.final(runs, name(110)),
        at_least=1,
        paper="never",
    ),
)

table = functools.partial(
    lazy_rich.table, learned=LEARNED, columns={"alignment at first": first_alignment}
)


FIGURE = lazy_rich.figure(
    "kumar2024/fig5c",
    "labels from eigenvectors of the kernel: the worse the alignment, the longer the "
    "delay",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_steps": 6000},
        "D = 100, 120 examples to train on and 120 to test. Eigenvectors are those of "
        "the kernel on both together: the paper does not say where test labels are "
        "from.",
    ),
    paper=Size({"num_steps": 30_000, "width": 500}),
    draw=functools.partial(
        lazy_rich.draw_all,
        log_loss=True,
        sweep=True,
        panels={"kernel_alignment": "alignment with\nthe training labels"},
    ),
    table=table,
    from_start=True,
)
