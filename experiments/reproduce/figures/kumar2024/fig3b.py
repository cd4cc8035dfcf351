"""Figure 3(b) of Kumar et al. (2024): the less the kernel sees, the later."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES, Size

EPSILONS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


def name(epsilon: float) -> str:
    """Names an arm."""
    return f"epsilon = {epsilon:g}"


NAMES = tuple(map(name, EPSILONS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(epsilon): Config(epsilon=epsilon, **size) for epsilon in EPSILONS}


CLAIMS = (
    lazy_rich.rising_claim(
        "the smaller epsilon, the longer the delay from the training loss .1 to the "
        "test loss .25",
        NAMES,
        SQUARES.delay,
        falling=True,
        paper="a longer delay",
    ),
    lazy_rich.rising_claim(
        "and in proportion: updates to the test loss over those to the training loss",
        NAMES,
        SQUARES.ratio,
        falling=True,
        paper="a longer delay",
    ),
    Claim(
        says="at epsilon = 0.05 the test loss rises first: its highest over that "
        "of the initial network",
        measure=lambda runs: first_losses.rise(runs, NAMES[0]),
        at_least=1.15,
        paper="rises",
    ),
    Claim(
        says="at epsilon = 2 it does not",
        measure=lambda runs: first_losses.rise(runs, NAMES[-1]),
        at_most=1.01,
        paper="falls at once",
    ),
    lazy_rich.rising_claim(
        "the smaller epsilon, the lower the final test loss",
        NAMES,
        lazy_rich.final,
        paper="lower",
    ),
)


FIGURE = squares.figure(
    name="kumar2024/fig3b",
    title="so does the kernel's alignment, through epsilon",
    arms_of=_arms,
    claims=CLAIMS,
    # The smallest epsilon is far from its end after the usual 10,000 updates.
    laptop=Size(squares.LAPTOP | {"num_steps": 30_000, "eval_every": 10}, squares.NOTE),
    draw=functools.partial(
        lazy_rich.draw_all,
        sweep=True,
        panels=lazy_rich.ALIGNMENTS,
    ),
    table=lazy_rich.table_with_ratio(SQUARES),
    from_start=True,
)
