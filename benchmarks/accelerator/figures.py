"""The form of the sections' results."""

from collections.abc import Sequence
from statistics import median
from typing import Any

Figures = dict[str, Any]
"""Results by name, with the unit in the name: numbers or lists of them, for JSON."""


def digits(value: float, num: int = 4) -> float:
    """A number rounded to some significant digits."""
    return float(f"{value:.{num}g}")


def milliseconds(seconds: Sequence[float], per: int = 1) -> float:
    """The median time of a round, divided by the number of its steps."""
    return digits(1e3 * median(seconds) / per)


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of the rounds."""
    return digits(median(a / b for a, b in zip(seconds, others, strict=True)))
