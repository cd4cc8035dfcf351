"""Appendix 8.4.2 of Kumar et al. (2024): a little of the solution at first."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES, Size

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3)


def name(share: float) -> str:
    """Names an arm."""
    return f"{share:g} of the solution"


NAMES = tuple(map(name, SHARES))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(share): Config(solution_share=share, **size) for share in SHARES}


def _rise_claim(share: float, **bounds: float) -> Claim:
    return Claim(
        says=f"{name(share)}: highest test loss over the initial one",
        measure=lambda runs: first_losses.rise(runs, name(share)),
        paper="rises" if share == 0 else "no rise",
        **bounds,
    )


CLAIMS = (
    _rise_claim(0.0, at_least=1.05),
    _rise_claim(0.1, at_most=1.02),
    _rise_claim(0.3, at_most=1.02),
    lazy_rich.rising_claim(
        "the more of it, the sooner the network generalises: updates to the test loss "
        ".25",
        NAMES,
        SQUARES.generalised,
        falling=True,
    ),
    lazy_rich.rising_claim(
        "and the shorter the delay from the training loss .1 to it",
        NAMES,
        SQUARES.delay,
        falling=True,
        paper="vanishes",
    ),
)

table = functools.partial(
    lazy_rich.table, columns={"highest over initial": first_losses.rise}
)


FIGURE = squares.figure(
    name="kumar2024/sec9",
    title="a little of the solution in the initial weights ends grokking",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=Size(
        squares.LAPTOP | {"center": False},
        f"{squares.DATA} {squares.METHOD}".format(250, "uncentred"),
    ),
    paper=Size(squares.PAPER | {"center": False}),
    draw=functools.partial(
        lazy_rich.draw_all,
        sweep=True,
        panels=lazy_rich.ALIGNMENTS,
    ),
    table=table,
    from_start=True,
)
