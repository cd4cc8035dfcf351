"""Checks of a config's fields; errors name the field, the value and the flag."""

from experiments.harness.argument_errors import flag_of


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
      value: Its value.
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


def check(name: str, value: object, holds: bool, allowed: str) -> None:
    """Raises `ValueError` "name=value: must be <allowed> (--flag)" unless `holds`."""
    if not holds:
        raise ValueError(f"{name}={value}: must be {allowed} ({flag_of(name)})")
