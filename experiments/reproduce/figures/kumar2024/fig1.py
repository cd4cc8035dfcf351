"""Figure 1 of Kumar et al. (2024): a network leaves its kernel, and generalises."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import SQUARES
from experiments.reproduce.runs import Runs

NETWORK, KERNEL = "network, alpha = 1", "its kernel limit"
EARLY = 50


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name: Config(alpha=alpha, epsilon=squares.EPSILON, **size)
        for name, alpha in ((NETWORK, 1.0), (KERNEL, squares.KERNEL_ALPHA))
    }


def growth(runs: Runs, metric: str) -> np.ndarray:
    """The last value of the network over its first, for each seed."""
    _, values = runs.curve(NETWORK, metric)
    return values[:, -1] / values[:, 0]


def early(runs: Runs) -> np.ndarray:
    """Its training loss over that of the kernel limit, while both have begun to fit."""
    first = runs.curve(NETWORK, "train_loss")[0][0]
    ours, theirs = (
        runs.at(arm, max(EARLY, first), metric="train_loss")
        for arm in (NETWORK, KERNEL)
    )
    return ours / theirs


CLAIMS = (
    Claim(
        says=f"early it does what its kernel does: training loss after {EARLY} updates "
        "over that of the kernel limit",
        measure=early,
        at_least=0.9,
        paper="the curves are one at first",
    ),
    Claim(
        says="late it does not: final test loss over that of the kernel limit",
        measure=lambda runs: (
            lazy_rich.final(runs, NETWORK) / lazy_rich.final(runs, KERNEL)
        ),
        at_most=0.2,
        paper="falls, while the kernel's stays",
    ),
    Claim(
        says="the test loss rises before it falls: its highest over that of the "
        "initial network",
        measure=lambda runs: first_losses.rise(runs, NETWORK),
        at_least=1.15,
        paper="rises",
    ),
    Claim(
        says="it generalises late: updates to the test loss .25 over those to the "
        "training loss .1",
        measure=lambda runs: SQUARES.ratio(runs, NETWORK),
        at_least=1.3,
        paper="late",
    ),
    Claim(
        says="the weight norm grows: at the end over the initial one",
        measure=lambda runs: lazy_rich.final(runs, NETWORK, "weight_norm_ratio"),
        at_least=1.5,
        paper="grows",
    ),
    Claim(
        says="the kernel aligns: its alignment at the end over that at first",
        measure=lambda runs: growth(runs, "kernel_alignment"),
        at_least=2,
        paper="grows",
    ),
)


FIGURE = squares.figure(
    name="kumar2024/fig1",
    title="regression of a square: test loss falls late, while the weight norm rises "
    "and the kernel aligns",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=squares.FEWER,
    draw=functools.partial(
        lazy_rich.draw_all,
        panels=lazy_rich.NORMS | lazy_rich.ALIGNMENTS,
    ),
    from_start=True,
)
