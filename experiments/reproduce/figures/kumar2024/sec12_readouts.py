"""Appendix 12 of Kumar et al. (2024): trained readouts."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES, Size

ALPHAS = (0.5, 1.0, 2.0, 4.0)


def name(readouts: bool, alpha: float) -> str:
    """Names an arm."""
    return f"{'trained' if readouts else 'fixed'} readouts, alpha = {alpha:g}"


TRAINED = tuple(name(True, alpha) for alpha in ALPHAS)


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    # With trained readouts the kernel is twice as large: half the rate does as much.
    return {
        name(readouts, alpha): Config(
            alpha=alpha,
            readouts=readouts,
            learning_rate=1.0 if readouts else 2.0,
            **size,
        )
        for readouts in (False, True)
        for alpha in (ALPHAS if readouts else (1.0,))
    }


CLAIMS = (
    Claim(
        says="with trained readouts it groks as well: updates to the test loss .25 "
        "over those to the training loss .1, at alpha = 4",
        measure=lambda runs: SQUARES.ratio(runs, name(True, 4.0)),
        at_least=1.3,
    ),
    Claim(
        says="and its test loss rises first: its highest over that of the initial "
        "network, at alpha = 4",
        measure=lambda runs: first_losses.rise(runs, name(True, 4.0)),
        at_least=1.05,
    ),
    lazy_rich.rising_claim("the lazier, the longer the delay", TRAINED, SQUARES.delay),
)


FIGURE = squares.figure(
    name="kumar2024/sec12_readouts",
    title="trained readouts: the same three terms of the loss, and the same delay",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=Size(
        squares.LAPTOP | {"width": 200, "num_steps": 5000},
        "D = 50, P = 250, N = 200; the paper derives the loss for trained readouts "
        "and shows no run.",
    ),
    draw=functools.partial(
        lazy_rich.draw_all,
        panels=lazy_rich.NORMS,
    ),
    table=lazy_rich.table,
    from_start=True,
)
