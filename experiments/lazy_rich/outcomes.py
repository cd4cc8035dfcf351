"""What became of a run: when it fitted its examples, and when it generalised."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from experiments.harness.family import Rows
from experiments.harness.outcomes import diverged_at

THRESHOLDS = (0.5, 0.25, 0.1, 0.01)
"""Losses; keys of `steps_to_train_loss` and `steps_to_test_loss`."""
FITTED = "0.1"
"""The training loss below which the polynomial task counts as fitted."""
GENERALISED = "0.25"
"""The test loss below which it counts as generalised: a third of the zero network's."""
GROWN = 100
"""A loss is growing if it ends above this many times its first value."""
ACCURACY = 0.95
"""The accuracy above which a classifier has learned a set."""


def losses(rows: Rows) -> dict[str, Any]:
    """The summary of losses and norms, whatever the task."""
    return {
        "final_train_loss": rows[-1]["train_loss"],
        "final_test_loss": rows[-1]["test_loss"],
        "highest_test_loss": max(
            (row["test_loss"] for row in rows if math.isfinite(row["test_loss"])),
            default=None,
        ),
        "steps_to_train_loss": _steps_to(rows, "train_loss"),
        "steps_to_test_loss": _steps_to(rows, "test_loss"),
        "final_weight_norm_ratio": rows[-1]["weight_norm_ratio"],
        "final_parameter_movement": rows[-1]["parameter_movement"],
    }


def accuracies(rows: Rows) -> dict[str, Any]:
    """The part of a summary that classifiers add."""
    names = ("train", "test")
    return {
        **{
            f"first_step_{name}_accuracy_95": _first(rows, f"{name}_accuracy", _learned)
            for name in names
        },
        **{f"final_{name}_accuracy": rows[-1][f"{name}_accuracy"] for name in names},
    }


def steps_to_accuracy(
    rows: Rows, name: str, thresholds: Sequence[float]
) -> dict[str, int | None]:
    """By threshold, the first evaluated step with an accuracy above it."""
    return {f"{above:g}": _first(rows, name, above.__lt__) for above in thresholds}


def _learned(accuracy: float) -> bool:
    return accuracy > ACCURACY


def in_words(
    rows: Rows,
    fitted: int | None,
    generalised: int | None,
    *,
    limit: float | None = None,
    start_loss: float = math.inf,
    rate: str = "learning_rate",
) -> str:
    """What became of one run.

    Args:
      rows: of its evaluations.
      fitted: the step at which it had learned its training set.
      generalised: the step at which it had learned the test set.
      limit: the rate from which on the initial network diverges, if known.
      start_loss: the training loss at first, from which it has grown or not.
      rate: the field that is to be lowered where it was too large.
    """
    diverged = diverged_at(rows)
    lower = f"lower {rate}" + (f" (limit at first: {limit:.3g})" if limit else "")
    if diverged is not None:
        return f"diverged at update {diverged}: {lower}"
    if (loss := rows[-1]["train_loss"]) > GROWN * start_loss:
        return f"growing (loss {loss:.3g}): {lower}"
    if fitted is None:
        loss = rows[-1]["train_loss"]
        return f"has not fitted its training set (loss {loss:.3g})"
    if generalised is None:
        loss = rows[-1]["test_loss"]
        return f"fitted at update {fitted}, has not generalised (test loss {loss:.3g})"
    return f"fitted at update {fitted}, generalised at update {generalised}"


def in_words_of_losses(rows: Rows, **known: Any) -> str:
    """`in_words` for the polynomial task."""
    train, test = (_steps_to(rows, f"{name}_loss") for name in ("train", "test"))
    return in_words(rows, train[FITTED], test[GENERALISED], **known)


def start_loss(rows: Rows, zero_loss: float, *, center: bool) -> float:
    """The training loss from which a run may begin, before its first evaluation.

    A network that is not centred may begin far above the zero predictor.
    """
    return zero_loss if center else max(zero_loss, rows[0]["train_loss"])


def _steps_to(rows: Rows, name: str) -> dict[str, int | None]:
    """By threshold, the first evaluated step with a loss below it."""
    return {f"{below:g}": _first(rows, name, below.__gt__) for below in THRESHOLDS}


def _first(rows: Rows, name: str, holds: Callable[[float], bool]) -> int | None:
    """The first evaluated step for which a condition holds, if there is one."""
    return next((row["step"] for row in rows if holds(row[name])), None)
