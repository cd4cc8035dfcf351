"""The form of what the sections find."""

from collections.abc import Sequence
from statistics import median
from typing import Any

Figures = dict[str, Any]
"""By name, with the unit in it: numbers, or lists of them, for JSON."""


def digits(value: float, num: int = 4) -> float:
    """Rounded to so many significant digits."""
    return float(f"{value:.{num}g}")


def milliseconds(seconds: Sequence[float], per: int = 1) -> float:
    """The median round, divided among what was done in it."""
    return digits(1e3 * median(seconds) / per)


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of the rounds."""
    return digits(median(a / b for a, b in zip(seconds, others, strict=True)))
