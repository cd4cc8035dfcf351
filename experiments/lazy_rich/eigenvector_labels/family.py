"""Eigenvectors as labels, as a family of runs."""

from typing import Any

from experiments.harness.memory import Needs
from experiments.lazy_rich.eigenvector_labels.config import Config
from experiments.lazy_rich.families import lazy_family


def memory(config: Config) -> Needs:
    """The least memory: weights now and at first, inputs, and their kernel."""
    weights = config.dimension * config.width
    return Needs(
        member=4 * (2 * weights + config.num_inputs * config.dimension),
        step=4 * max(config.num_inputs**2, config.num_train * config.width),
    )


def _title(config: Config) -> str:
    return (
        f"eigenvector {config.eigenvector} of {config.num_inputs}, "
        f"{config.num_train} to train on, D = {config.dimension}, "
        f"alpha = {config.alpha:g}, {config.optimizer}"
    )


def _problem() -> Any:
    from experiments.lazy_rich.eigenvector_labels.problem import Eigenvector

    return Eigenvector


FAMILY = lazy_family(
    "eigenvector_labels",
    Config,
    problem=_problem,
    title=_title,
    operations=lambda config: 8 * config.num_train * config.dimension * config.width,
    memory=memory,
    shown=("train_loss", "test_loss"),
)
