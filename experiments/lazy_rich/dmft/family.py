"""The mean-field theory as a family of runs."""

from typing import TYPE_CHECKING

from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.dmft.outcomes import describe, in_words, summarize

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

OPERATIONS_PER_SECOND = 5e9
"""Multiplications and additions of the solver in a second on two cores, at least."""


def run_seconds(config: Config) -> float:
    """An estimate of the time."""
    n = config.num_steps * config.width
    row = 2 * config.num_samples * n**2 * config.width / 3
    operations = config.num_replicas * config.num_steps * row
    return operations / OPERATIONS_PER_SECOND


def memory(config: Config) -> Needs:
    """The least memory: responses of each sample's gradients to everything before.

    This is for one replica. Its gradients, their basis and the noise are added.
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
