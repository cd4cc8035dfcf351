"""Paired ratios in words."""

import statistics
from collections.abc import Sequence


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """The median and the range of ratios of times that were measured in turns."""
    found = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return f"{statistics.median(found):.2f} x [{min(found):.2f}, {max(found):.2f}]"
