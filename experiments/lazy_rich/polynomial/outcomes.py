"""What became of one seed on the polynomial task, beside its lazy limit."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.family import Rows
from experiments.harness.members import hyperparameters
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.config import LAZY_RATES
from experiments.lazy_rich.polynomial import lazy_limit
from experiments.lazy_rich.polynomial.config import MOST_IN_KERNEL, Config
from experiments.lazy_rich.polynomial.experiment import ByMoments
from experiments.lazy_rich.polynomial.lazy_limit import LazyCurve
from experiments.lazy_rich.polynomial.task import target_matrix


def summarize(rows: Rows, config: Config) -> dict[str, Any]:
    """When a seed fitted and generalised, and the losses of a lazy network."""
    summary = outcomes.losses(rows)
    seed = rows[-1]["seed"]
    limit = largest_rate(config, seed)
    start = outcomes.start_loss(rows, config.zero_loss, center=config.center)
    curve = lazy_curve(config, seed, np.asarray([rows[-1]["step"]]))
    return {
        **summary,
        "lazy_train_loss": None if curve is None else float(curve.train_loss[0]),
        "lazy_test_loss": None if curve is None else float(curve.test_loss[0]),
        "largest_lazy_learning_rate": limit,
        "outcome": outcomes.in_words_of_losses(rows, limit=limit, start_loss=start),
    }


def lazy_curve(config: Config, seed: int, steps: np.ndarray) -> LazyCurve | None:
    """Losses of the linearised network; None if it diverges or is not known.

    It is known for gradient descent with a centred output and without readouts, where
    the kernel of the examples is not too large.
    """
    is_plain = config.optimizer == "gd" and config.center and not config.readouts
    limit = largest_rate(config, seed) if is_plain else None
    # Close to the limit, rounding decides.
    if limit is None or config.learning_rate >= 0.999 * limit:
        return None
    fixed = _start(config, seed)[0]
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


def largest_rate(config: Config, seed: int) -> float | None:
    """The η₀ from which on the linearised network diverges.

    With momentum m it is 1 + m times that of gradient descent. None where there is
    none in closed form, because Adam's updates do not scale with the gradient and the
    kernel of trained readouts has other terms, and where the kernel is too large.
    """
    is_large = config.num_train > MOST_IN_KERNEL
    if config.optimizer not in LAZY_RATES or config.readouts or is_large:
        return None
    momentum = config.momentum if config.optimizer == "momentum" else 0
    return (1 + momentum) * _start(config, seed)[1]


def cautions(config: Config) -> Iterator[str]:
    """Warnings about a run, before it begins."""
    for seed in range(config.seed, config.seed + config.num_seeds):
        limit = largest_rate(config, seed)
        if limit is not None and config.learning_rate >= limit:
            yield (
                f"learning_rate={config.learning_rate:g} is not below {limit:.3g}, "
                f"from which on the linearised network of seed {seed} diverges"
            )
            return


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
