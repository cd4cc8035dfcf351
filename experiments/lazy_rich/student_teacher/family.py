"""Student and teacher as a family of runs."""

from typing import Any

from experiments.harness.memory import Needs
from experiments.lazy_rich.families import lazy_family
from experiments.lazy_rich.student_teacher.config import Config


def num_params(config: Config) -> int:
    """Weights and biases of the student."""
    inner = config.width * (config.num_inputs + config.width + 2)
    return inner + config.num_outputs * (config.width + 1)


def memory(config: Config) -> Needs:
    """The least memory: parameters now and at first, data, and the units."""
    numbers = config.num_inputs + config.num_outputs
    data = (config.num_train + config.num_test) * numbers
    units = 2 * config.width + config.num_outputs
    return Needs(
        member=4 * (2 * num_params(config) + data),
        # An update goes through the training set at once, an evaluation through both.
        step=4
        * max(num_params(config) + config.num_train * units, config.num_test * units),
    )


def _title(config: Config) -> str:
    return (
        f"tanh student and teacher, {config.num_train} examples, "
        f"alpha = {config.alpha:g}, {config.optimizer}"
    )


def _problem() -> Any:
    from experiments.lazy_rich.student_teacher.problem import Student

    return Student


FAMILY = lazy_family(
    "student_teacher",
    Config,
    problem=_problem,
    title=_title,
    operations=lambda config: 6 * config.num_train * num_params(config),
    memory=memory,
)
