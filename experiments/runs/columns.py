"""The columns of a table of runs: their paths, differing settings and progress."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.harness.config import IGNORED
from experiments.harness.messages import UserError
from experiments.runs.reading import Run

USUAL = ("test_accuracy", "train_accuracy", "train_loss")
"""Metrics that are shown by default."""
_APART = {*IGNORED, "seed", "num_seeds"}
_BEFORE: dict[str, Callable[[Run], Any]] = {
    "path": lambda run: str(run.path),
    "experiment": lambda run: run.experiment,
    "arm": lambda run: run.arm,
    "seed": lambda run: run.seed,
    "state": lambda run: run.state,
    "update": lambda run: run.update,
    "num_updates": lambda run: run.num_updates,
}
_AFTER: dict[str, Callable[[Run], Any]] = {"outcome": lambda run: run.outcome}
OWN = (*_BEFORE, *_AFTER)
"""Columns that are always shown."""


class Column(NamedTuple):
    """A name, and its value in each run; None or empty if a run has none."""

    name: str
    value: Callable[[Run], Any]


def choose(runs: Sequence[Run], metrics: Sequence[str] | None = None) -> list[Column]:
    """The columns of a table.

    Args:
      runs: the rows of the table.
      metrics: names of metrics; by default the usual metrics that any run has.

    Raises:
      UserError: No run has one of the metrics.
    """
    if metrics is None:
        metrics = [name for name in USUAL if any(name in run.metrics for run in runs)]
    fields = differing(runs)
    return [
        *(Column(name, value) for name, value in _BEFORE.items()),
        *(Column(name, _field(name)) for name in fields),
        *(_metric(name, fields, runs) for name in metrics),
        *(Column(name, value) for name, value in _AFTER.items()),
    ]


def differing(runs: Sequence[Run]) -> list[str]:
    """Settings that differ among the runs that have them."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.config.items():
            values.setdefault(name, set()).add(repr(value))
    return [
        name
        for name, different in values.items()
        if len(different) > 1 and name not in _APART
    ]


def named(name: str, runs: Sequence[Run]) -> Column:
    """A column, setting or metric by its name, whether it is shown or not.

    Raises:
      UserError: No run has it.
    """
    own = {**_BEFORE, **_AFTER}
    if name in own:
        return Column(name, own[name])
    if any(name in run.config for run in runs):
        return Column(name, _field(name))
    if any(name.removeprefix("last.") in run.metrics for run in runs):
        return Column(name, _last(name.removeprefix("last.")))
    raise _unknown(name, [*own, *_names(runs, "config"), *_names(runs, "metrics")])


def _metric(name: str, fields: Sequence[str], runs: Sequence[Run]) -> Column:
    """The column of a metric's last values; its name tells it from a setting."""
    name = name.removeprefix("last.")
    if runs and not any(name in run.metrics for run in runs):
        raise _unknown(name, _names(runs, "metrics"))
    taken = name in OWN or name in fields
    return Column(f"last.{name}" if taken else name, _last(name))


def _field(name: str) -> Callable[[Run], Any]:
    return lambda run: run.config.get(name)


def _last(name: str) -> Callable[[Run], Any]:
    return lambda run: run.metrics.get(name)


def _names(runs: Sequence[Run], kind: str) -> list[str]:
    mappings: list[Mapping[str, Any]] = [getattr(run, kind) for run in runs]
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _unknown(name: str, known: Sequence[str]) -> UserError:
    close = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return UserError(f"no run has {name!r}: {advice}")
