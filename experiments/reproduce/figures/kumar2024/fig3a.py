"""Figure 3(a) of Kumar et al. (2024): the lazier, the later."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES

ALPHAS = (0.0625, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
KERNEL = "the kernel limit"


def name(alpha: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}"


NAMES = tuple(map(name, ALPHAS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(alpha): Config(alpha=alpha, **size) for alpha in ALPHAS} | {
        KERNEL: Config(alpha=squares.KERNEL_ALPHA, **size)
    }


CLAIMS = (
    lazy_rich.rising_claim(
        "the lazier, the later it fits: updates to the training loss .1",
        NAMES,
        SQUARES.fitted,
    ),
    lazy_rich.rising_claim(
        "and the later it generalises: updates to the test loss .25",
        NAMES,
        SQUARES.generalised,
        paper="a longer delay",
    ),
    lazy_rich.rising_claim(
        "and the longer the delay from one to the other",
        NAMES,
        SQUARES.delay,
        paper="a longer delay",
    ),
    Claim(
        says="little laziness ends grokking: at alpha = 0.0625, updates to the test "
        "loss .25 over those to the training loss .1",
        measure=lambda runs: SQUARES.ratio(runs, name(ALPHAS[0])),
        at_most=1.25,
        paper="no delay",
    ),
    lazy_rich.rising_claim(
        "the lazier, the higher the final test loss", NAMES, lazy_rich.final
    ),
    Claim(
        says="the kernel limit does not generalise: final test loss",
        measure=lambda runs: lazy_rich.final(runs, KERNEL),
        at_least=0.4,
        paper="poor",
    ),
)


FIGURE = squares.figure(
    name="kumar2024/fig3a",
    title="the output scale alpha sets the delay of generalisation",
    arms_of=_arms,
    claims=CLAIMS,
    draw=functools.partial(
        lazy_rich.draw_all,
        sweep=True,
        panels=lazy_rich.NORMS,
    ),
    table=lazy_rich.table_with_ratio(SQUARES),
)
