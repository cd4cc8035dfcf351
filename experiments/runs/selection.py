"""Selects and orders the runs to show."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from experiments.runs.columns import named
from experiments.runs.reading import Run

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"([\w.]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)


def parse(condition: str) -> tuple[str, str, str]:
    """Splits a condition, such as `seed<3`, into a name, an operator and a value.

    Raises:
      ValueError: It is no condition.
    """
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ValueError(
            f"where={condition}: must be a name, one of {' '.join(_OPERATORS)} and a "
            "value, such as state=finished (--where)"
        )
    return match[1], match[2], match[3]


def filtered(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """The runs for which every condition holds.

    Raises:
      UserError: No run has the name of a condition.
    """
    kept = list(runs)
    for name, sign, wanted in map(parse, conditions):
        value = named(name, runs).value if runs else None
        kept = [run for run in kept if value and _holds(value(run), sign, wanted)]
    return kept


def ordered(runs: Sequence[Run], by: str, *, descending: bool = False) -> list[Run]:
    """The runs ordered by a column, with runs without a value last.

    Raises:
      UserError: No run has the column.
    """
    if not runs:
        return []
    value = named(by, runs).value
    having = [run for run in runs if value(run) not in (None, "")]
    without = [run for run in runs if value(run) in (None, "")]
    key: Callable[[Run], Any] = lambda run: _key(value(run))  # noqa: E731
    return [*sorted(having, key=key, reverse=descending), *without]


def _holds(value: Any, sign: str, wanted: str) -> bool:
    """Compares two values, as numbers if both are numbers, else as texts."""
    if value is None:
        return sign == "!="
    key, other = _key(value), _key(wanted)
    if key[0] != other[0]:
        return sign == "!="
    return _OPERATORS[sign](key, other)


def _key(value: Any) -> tuple[int, float, str]:
    """A sort key with numbers before texts; NaN counts as a text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or math.isnan(number):
        return 1, 0.0, str(value).lower()
    return 0, number, ""
