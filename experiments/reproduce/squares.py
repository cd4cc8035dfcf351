"""What the figures on the polynomial task share: its sizes at each scale."""

import functools
from typing import Any

from experiments.lazy_rich.polynomial.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.lazy_rich import Size

LAPTOP: dict[str, Any] = {
    "dimension": 50,
    "num_train": 250,
    "width": 500,
    "num_steps": 10_000,
    "eval_every": 10,
}
PAPER: dict[str, Any] = {
    "dimension": 100,
    "num_train": 400,
    "width": 500,
    "num_steps": 50_000,
    "eval_every": 50,
}
DATA = (
    "D = 50, P = {} instead of what we read as D = 100 and P = 400; the paper does not "
    "print D."
)
METHOD = "Gradient descent on the {} network, computed for moments."
NOTE = f"{DATA} {METHOD}".format(250, "centred")
FEWER = Size(LAPTOP | {"num_train": 200}, f"{DATA} {METHOD}".format(200, "centred"))
"""Sizes of figures of one network, in which the test loss rises more."""
KERNEL_ALPHA = 1e5
"""At this alpha the kernel does not change, so a network is its lazy limit.
tests/experiments/lazy_rich compare it with the closed form."""
EPSILON = 0.05
"""Epsilon of the figures of one network."""
LAPTOP_SIZE, PAPER_SIZE = Size(LAPTOP, NOTE), Size(PAPER)

figure = functools.partial(
    lazy_rich.figure, family=FAMILY, laptop=LAPTOP_SIZE, paper=PAPER_SIZE
)
"""`lazy_rich.figure`, with keywords: of this task, by default at these sizes."""
