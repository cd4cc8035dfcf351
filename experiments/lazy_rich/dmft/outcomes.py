"""What became of one seed of the theory."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness.family import Rows
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.dmft.config import Config

ZERO_LOSS = 0.75
"""Loss of the zero predictor."""
_FINAL = (
    "train_loss_error",
    "test_loss_error",
    "gap",
    "gap_error",
    "leading_gap",
    "online_loss",
    "target_overlap",
    "kernel_alignment_scaled",
)


def summarize(rows: Rows, config: Config) -> dict[str, Any]:
    """Losses as in the other tasks, and the last values of the theory's own metrics."""
    ends = {f"final_{name}": rows[-1][name] for name in _FINAL}
    return outcomes.losses(rows) | ends


def in_words(rows: Rows, config: Config) -> str:
    """Whether a seed fitted and generalised, and when."""
    return outcomes.in_words_of_losses(
        rows,
        limit=largest_time_step(config),
        start_loss=outcomes.start_loss(rows, ZERO_LOSS, center=config.center),
        rate="time_step",
    )


def largest_time_step(config: Config) -> float:
    r"""The step from which on many examples diverge, linearised at first.

    It is 2 over the largest eigenvalue of the mean of
    :math:`\varphi'(h_i) \varphi'(h_j) x x^\top / N`. That belongs to a sum of the
    units' weights and of what is alike in each unit, whose 2 by 2 block is below.
    Fewer examples diverge at smaller steps.
    """
    n = config.width
    share = config.epsilon**2 * config.power / n
    block = [[(n + 2) * share, n * share], [1 / n, 1 + 2 * share]]
    return float(2 / np.max(np.linalg.eigvals(block).real))


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    train, test = (
        f"{entry[f'final_{name}_loss']:.3g} ± {entry[f'final_{name}_loss_error']:.1g}"
        for name in ("train", "test")
    )
    limit = entry["final_online_loss"]
    return f"train {train}, test {test} ({limit:.3g} with infinitely many examples)"
