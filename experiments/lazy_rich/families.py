"""What the families of lazy networks have in common."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.harness.family import Family, Rows
from experiments.harness.memory import Needs
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.config import LazyConfig

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode
    from experiments.lazy_rich.training import Problem

OPERATIONS_PER_SECOND = 4e10
"""Multiplications and additions in a second of an update. Measured: 6e10 to 2e11, and
1e11 for the polynomial task by moments."""
DISPATCH_SECONDS = 3e-5
"""The least cost of an update, in seconds."""
DIAGNOSIS_SECONDS = 0.03
"""Cost of an evaluation with kernels, in seconds; 0.001 to 0.034 were measured."""
LEARNED = "0.25"
"""The threshold of a loss, if the zero network has a loss of about 1."""


def summarize(rows: Rows, config: LazyConfig) -> dict[str, Any]:
    """Losses, norms and, if there are any, accuracies of a seed."""
    summary = outcomes.losses(rows)
    if is_classifier(rows[-1]):
        summary |= outcomes.accuracies(rows)
    return summary


def in_words(rows: Rows, config: LazyConfig) -> str:
    """Whether a seed fitted and generalised, and when."""
    summary = summarize(rows, config)
    if is_classifier(rows[-1]):
        names = [f"first_step_{name}_accuracy_95" for name in ("train", "test")]
        reached = [summary[name] for name in names]
    else:
        names = ["steps_to_train_loss", "steps_to_test_loss"]
        reached = [summary[name][LEARNED] for name in names]
    return outcomes.in_words(
        rows,
        *reached,
        start_loss=outcomes.start_loss(rows, config.zero_loss, center=config.center),
    )


def describe(entry: Mapping[str, Any], config: LazyConfig) -> str:
    """A seed's summary in words."""
    norm = f"weight norm times {entry['final_weight_norm_ratio']:.3g}"
    if "final_train_accuracy" not in entry:
        train, test = entry["final_train_loss"], entry["final_test_loss"]
        return f"train {train:.3g}, test {test:.3g}, {norm}"
    return (
        f"accuracy {entry['final_train_accuracy']:.3f} on training, "
        f"{entry['final_test_accuracy']:.3f} on test examples, {norm}"
    )


def is_classifier(row: Mapping[str, Any]) -> bool:
    """Whether the task has accuracies."""
    return "train_accuracy" in row


def lazy_family(
    name: str,
    config_class: type[Any],
    *,
    problem: Callable[[], Callable[[Any], "Problem"]],
    title: Callable[[Any], str],
    operations: Callable[[Any], float],
    memory: Callable[[Any], Needs],
    shown: Sequence[str] = ("train_accuracy", "test_accuracy"),
    training: Callable[[], Any] | None = None,
    load: Callable[[Any], Sequence[Any]] = lambda _: (),
    data: Collection[str] = (),
    summarize: Callable[[Rows, Any], dict[str, Any]] = summarize,
    in_words: Callable[[Rows, Any], str] = in_words,
) -> Family[Any]:
    """A family of lazy versions of a model.

    Args:
      name: of the sub-command.
      config_class: a `LazyConfig`.
      problem: imports what is needed and returns the problem's class.
      title: of a figure.
      operations: multiplications and additions of an update.
      memory: of one seed.
      shown: metrics beside the progress.
      training: imports a `training.Training` other than that of the whole set.
      load: reads what all seeds share: more arguments of the problem's `data`.
      data: fields that say where data are, and decide no result.
      summarize: of a seed, where the usual ones do not suffice.
      in_words: what became of a seed, likewise.
    """

    def code() -> "ArrayCode[Any]":
        from experiments.harness.members import ArrayCode
        from experiments.lazy_rich.figures import draw_run
        from experiments.lazy_rich.training import Training

        def draw(rows: Sequence[dict[str, Any]], config: Any, path: Path) -> None:
            draw_run(rows, path, title=title(config))

        make, train = problem(), training() if training else Training
        return ArrayCode(
            experiment=lambda config: train(config, make(config)),
            summarize=summarize,
            draw=draw,
            load=load,
            shown=shown,
        )

    def run_seconds(config: Any) -> float:
        one = DISPATCH_SECONDS + operations(config) / OPERATIONS_PER_SECOND
        kernels = config.num_steps / config.eval_every if config.diagnose else 0
        return config.num_steps * one + kernels * DIAGNOSIS_SECONDS

    return Family(
        name=name,
        package="lazy_rich",
        config_class=config_class,
        code=code,
        group_name=lambda config: f"{config.optimizer}-{config.num_steps}-updates",
        run_seconds=run_seconds,
        cost=f"{OPERATIONS_PER_SECOND:.0e} operations a second",
        describe=describe,
        in_words=in_words,
        memory=memory,
        data=data,
    )
