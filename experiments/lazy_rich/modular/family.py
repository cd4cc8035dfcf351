"""Modular addition as a family of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.modular.config import Config

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

OPERATIONS_PER_SECOND = 1e10
"""Multiplications and additions of an update on two cores, at least."""
DISPATCH_SECONDS = 1e-4
"""What an update costs however small it is."""


def run_seconds(config: Config) -> float:
    """An estimate."""
    operations = 8 * config.num_train * config.width * config.modulus
    return config.num_steps * (DISPATCH_SECONDS + operations / OPERATIONS_PER_SECOND)


def memory(config: Config) -> Needs:
    """At the least: parameters now and at first, and the units of an update."""
    params = 3 * config.modulus * config.width
    units = config.width + config.modulus
    return Needs(
        member=4 * 2 * params + 8 * config.modulus**2,
        step=4 * (params + config.num_train * units),
    )


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """When a seed fitted and generalised."""
    accuracies = outcomes.accuracies(rows)
    return {
        **outcomes.losses(rows),
        **accuracies,
        "outcome": outcomes.in_words(
            rows,
            accuracies["first_step_train_accuracy_95"],
            accuracies["first_step_test_accuracy_95"],
            limit=None,
        ),
    }


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    return (
        f"accuracy {entry['final_train_accuracy']:.3f} on training, "
        f"{entry['final_test_accuracy']:.3f} on test pairs, weight norm times "
        f"{entry['final_weight_norm_ratio']:.3g}"
    )


def _draw(rows: Sequence[dict[str, Any]], config: Config, path: Path) -> None:
    from experiments.lazy_rich.classifier_figures import draw_classifier

    title = (
        f"x + y mod {config.modulus}, {config.train_fraction:.0%} of the pairs, "
        f"{config.activation}, alpha = {config.alpha:g}, {config.optimizer}"
    )
    draw_classifier(rows, path, title=title)


def _code() -> "ArrayCode[Config]":
    from experiments.harness.members import ArrayCode
    from experiments.lazy_rich.modular.problem import Addition
    from experiments.lazy_rich.training import Training

    return ArrayCode(
        experiment=lambda config: Training(config, Addition(config)),
        summarize=summarize,
        draw=_draw,
    )


FAMILY = Family(
    name="modular",
    package="lazy_rich",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.activation}-{config.num_steps}-updates",
    run_seconds=run_seconds,
    cost=f"{OPERATIONS_PER_SECOND:.0e} operations a second",
    describe=describe,
    memory=memory,
)
