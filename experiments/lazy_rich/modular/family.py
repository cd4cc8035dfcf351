"""Modular addition as a family of runs."""

from typing import Any

from experiments.harness.memory import Needs
from experiments.lazy_rich.families import lazy_family
from experiments.lazy_rich.modular.config import Config


def memory(config: Config) -> Needs:
    """The least memory: parameters now and at first, and the units of all examples."""
    params = 3 * config.modulus * config.width
    units = config.width + config.modulus
    return Needs(
        member=4 * 2 * params + 8 * config.modulus**2,
        step=4 * (params + config.most_at_once * units),
    )


def _title(config: Config) -> str:
    return (
        f"x + y mod {config.modulus}, {config.train_fraction:.0%} of the pairs, "
        f"{config.activation}, alpha = {config.alpha:g}, {config.optimizer}"
    )


def _problem() -> Any:
    from experiments.lazy_rich.modular.problem import Addition

    return Addition


FAMILY = lazy_family(
    "modular",
    Config,
    problem=_problem,
    title=_title,
    operations=lambda config: 8 * config.num_train * config.width * config.modulus,
    memory=memory,
)
