"""Families of runs whose examples are right or wrong, and what they have in common."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.config import LazyConfig

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode
    from experiments.lazy_rich.training import Problem

OPERATIONS_PER_SECOND = 1e10
"""Multiplications and additions of an update on two cores, at least."""
DISPATCH_SECONDS = 1e-4
"""What an update costs however small it is."""


def classifier_family(
    name: str,
    config_class: type[Any],
    *,
    problem: Callable[[], Callable[[Any], "Problem"]],
    title: Callable[[Any], str],
    operations: Callable[[Any], float],
    memory: Callable[[Any], Needs],
) -> Family[Any]:
    """A family of lazy versions of a model.

    Args:
      name: of the sub-command.
      config_class: a `LazyConfig`.
      problem: imports what is needed and returns the problem's class.
      title: of a figure.
      operations: multiplications and additions of an update.
      memory: of one seed.
    """

    def code() -> "ArrayCode[Any]":
        from experiments.harness.members import ArrayCode
        from experiments.lazy_rich.classifier_figures import draw_classifier
        from experiments.lazy_rich.training import Training

        def draw(rows: Sequence[dict[str, Any]], config: Any, path: Path) -> None:
            draw_classifier(rows, path, title=title(config))

        make = problem()
        return ArrayCode(
            experiment=lambda config: Training(config, make(config)),
            summarize=summarize,
            draw=draw,
        )

    def run_seconds(config: Any) -> float:
        one = DISPATCH_SECONDS + operations(config) / OPERATIONS_PER_SECOND
        return config.num_steps * one

    return Family(
        name=name,
        package="lazy_rich",
        config_class=config_class,
        code=code,
        group_name=lambda config: f"{config.optimizer}-{config.num_steps}-updates",
        run_seconds=run_seconds,
        cost=f"{OPERATIONS_PER_SECOND:.0e} operations a second",
        describe=describe,
        memory=memory,
    )


def summarize(rows: Sequence[Mapping[str, Any]], config: LazyConfig) -> dict[str, Any]:
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


def describe(entry: Mapping[str, Any], config: LazyConfig) -> str:
    """A seed's summary in words."""
    return (
        f"accuracy {entry['final_train_accuracy']:.3f} on training, "
        f"{entry['final_test_accuracy']:.3f} on test examples, weight norm times "
        f"{entry['final_weight_norm_ratio']:.3g}"
    )
