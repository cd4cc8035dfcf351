"""Checks of a config's fields; errors name the field, the value and the flag."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from experiments.harness.argument_errors import flag_of

INT32_MAX = 2**31 - 1
FLOAT32_MAX = (2 - 2**-23) * 2.0**127
Ranges: TypeAlias = Sequence[tuple[Mapping[str, float], Sequence[str]]]
FLOAT32_TINY = 2.0**-126
"""The smallest number that no device takes for 0."""


def check_numbers(config: Any, *, apart: Collection[str] = ()) -> None:
    """Raises `ValueError` unless devices can hold each number of a config.

    Devices count in 32 bits and compute in float32. Call it before other checks, so
    that those can compute with the numbers.

    Args:
      config: a dataclass.
      apart: fields that are not checked here.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in apart:
            for number in value if isinstance(value, tuple) else (value,):
                _check_number(field.name, number)


def _check_number(name: str, number: object) -> None:
    if isinstance(number, bool):
        return
    if isinstance(number, int):
        check(name, number, abs(number) <= INT32_MAX, f"at most {INT32_MAX} in size")
    if isinstance(number, float):
        size = abs(number)
        check(name, number, not math.isnan(size), "a number")
        check(name, number, size <= FLOAT32_MAX, f"at most {FLOAT32_MAX:.2g} in size")
        check(
            name,
            number,
            number == 0 or size >= FLOAT32_TINY,
            f"0 or at least {FLOAT32_TINY:.2g} in size",
        )


def check_range(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Raises `ValueError` unless a config's number lies in a range; NaN never does.

    Args:
      name: The field, with dots for nested dataclasses: `"optimizer.learning_rate"`.
      value: The field's value.
      above: Exclusive lower bound.
      at_least: Inclusive lower bound.
      below: Exclusive upper bound.
      at_most: Inclusive upper bound.

    Raises:
      ValueError: Names the field, the value, the range and the flag.
    """
    bounds = (
        (above, "greater than", above is None or value > above),
        (at_least, "at least", at_least is None or value >= at_least),
        (below, "less than", below is None or value < below),
        (at_most, "at most", at_most is None or value <= at_most),
    )
    if not all(holds for _, _, holds in bounds):
        words = [f"{word} {bound}" for bound, word, _ in bounds if bound is not None]
        check(name, value, False, " and ".join(words))


def check_ranges(config: Any, ranges: Ranges) -> None:
    """Raises `ValueError` unless the fields of a config lie in ranges or are None.

    Args:
      config: a dataclass.
      ranges: pairs of bounds, as in `check_range`, and the names of their fields.
    """
    for bounds, names in ranges:
        for name in names:
            if getattr(config, name) is not None:
                check_range(name, getattr(config, name), **bounds)


def check_unread(
    config: Any,
    fields: Sequence[tuple[bool, Sequence[str], str]],
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Raises `ValueError` for fields that were set, and that nothing would read.

    Args:
      config: a dataclass.
      fields: whether fields are read, their names, and where they are not, in words.
      defaults: of fields whose default depends on others.
    """
    own = {field.name: field.default for field in dataclasses.fields(config)}
    own |= defaults or {}
    for is_read, names, where in fields:
        for name in names:
            value = getattr(config, name)
            check(name, value, is_read or value == own[name], f"left out {where}")


def check(name: str, value: object, holds: bool, allowed: str) -> None:
    """Raises `ValueError` "name=value: must be <allowed> (--flag)" unless `holds`."""
    if not holds:
        raise ValueError(f"{name}={value}: must be {allowed} ({flag_of(name)})")
