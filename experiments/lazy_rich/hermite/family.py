"""Polynomials of Hermite's as a family of runs."""

from typing import Any

from experiments.harness.memory import Needs
from experiments.lazy_rich.families import lazy_family
from experiments.lazy_rich.hermite.config import Config


def memory(config: Config) -> Needs:
    """The least memory: weights now and at first, inputs, and the units."""
    weights = config.dimension * config.width
    inputs = (config.num_train + config.num_test) * config.dimension
    # An update goes through the training set at once, an evaluation through both.
    units = max(config.num_train, config.num_test) * config.width
    return Needs(member=4 * (2 * weights + inputs), step=4 * units)


def _title(config: Config) -> str:
    return (
        f"Hermite polynomial of degree {config.degree}, D = {config.dimension}, "
        f"P = {config.num_train}, alpha = {config.alpha:g}, {config.optimizer}"
    )


def _problem() -> Any:
    from experiments.lazy_rich.hermite.problem import Polynomial

    return Polynomial


FAMILY = lazy_family(
    "hermite",
    Config,
    problem=_problem,
    title=_title,
    operations=lambda config: 8 * config.num_train * config.dimension * config.width,
    memory=memory,
    shown=("train_loss", "test_loss"),
)
