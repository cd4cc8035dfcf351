"""The mean-field theory as a family of runs."""

from typing import TYPE_CHECKING

from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.dmft.outcomes import describe, in_words, summarize

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

OPERATIONS_PER_SECOND = 5e9
"""Multiplications and additions of the solver on two cores, at least."""


def run_seconds(config: Config) -> float:
    """An estimate."""
    n = config.num_steps * config.width
    row = 2 * config.num_samples * n**2 * config.width / 3
    operations = config.num_replicas * config.num_steps * row
    return operations / OPERATIONS_PER_SECOND


def memory(config: Config) -> Needs:
    """At the least: how each sample's gradients respond to all before, of a replica.

    And its gradients themselves, a basis of them, and noise.
    """
    n = config.num_steps * config.width
    return Needs(step=4 * config.num_samples * n * (1 + n + 3))


def _code() -> "ArrayCode[Config]":
    from experiments.harness.members import ArrayCode
    from experiments.lazy_rich.dmft.experiment import Theory
    from experiments.lazy_rich.dmft.figures import draw_run

    return ArrayCode(
        experiment=Theory,
        summarize=summarize,
        draw=draw_run,
        shown=("train_loss", "test_loss"),
    )


FAMILY = Family(
    name="dmft",
    package="lazy_rich",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.width}-units-{config.num_steps}-updates",
    run_seconds=run_seconds,
    cost=f"{OPERATIONS_PER_SECOND:.0e} operations a second",
    describe=describe,
    in_words=in_words,
    rate="time_step",
    memory=memory,
)
