"""What became of one seed on the polynomial task, beside its lazy limit."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.members import hyperparameters
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.polynomial import lazy_limit
from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.polynomial.experiment import ByMoments
from experiments.lazy_rich.polynomial.lazy_limit import LazyCurve
from experiments.lazy_rich.polynomial.task import target_matrix


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """When a seed fitted and generalised, and what a lazy network would have done."""
    summary = outcomes.losses(rows)
    seed = rows[-1]["seed"]
    limit = largest_rate(config, seed)
    curve = lazy_curve(config, seed, np.asarray([rows[-1]["step"]]))
    return {
        **summary,
        "lazy_train_loss": None if curve is None else float(curve.train_loss[0]),
        "lazy_test_loss": None if curve is None else float(curve.test_loss[0]),
        "largest_lazy_learning_rate": limit,
        "outcome": outcomes.in_words_of_losses(rows, limit=limit),
    }


def lazy_curve(config: Config, seed: int, steps: np.ndarray) -> LazyCurve | None:
    """What the linearised network does at the same rate; None where that diverges.

    Also for other optimizers, which it is there to be compared with.
    """
    fixed, limit = _start(config, seed)
    # Beside the limit rounding decides.
    if config.learning_rate >= 0.999 * limit:
        return None
    curve = lazy_limit.lazy_curve(
        jnp.asarray(steps),
        fixed.task.inputs,
        fixed.task.targets,
        target_matrix(fixed.task.directions),
        fixed.initial,
        epsilon=config.epsilon,
        base_rate=config.learning_rate,
    )
    return LazyCurve(*(losses / config.label_scale**2 for losses in curve))


def largest_rate(config: Config, seed: int) -> float:
    """The η₀ from which on the linearised network diverges."""
    return _start(config, seed)[1]


@functools.lru_cache(maxsize=32)
def _start(config: Config, seed: int) -> tuple[Any, float]:
    """The data and initial moments of a seed, and that rate."""
    fixed = _init(config)(np.uint32(seed), hyperparameters(config))[1]
    limit = lazy_limit.largest_rate(fixed.task.inputs, fixed.initial, config.epsilon)
    return fixed, float(limit)


@functools.lru_cache(maxsize=1)
def _init(config: Config) -> Callable[..., Any]:
    """Compiled once for all seeds."""
    return jax.jit(ByMoments(config).init)
