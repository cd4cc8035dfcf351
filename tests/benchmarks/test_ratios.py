"""Ratios of times that were measured in turns."""

from benchmarks.ratios import ratio


def test_ratios_are_paired():
    assert ratio([1.0, 20, 3], [2.0, 10, 2]) == "1.50 x [0.50, 2.00]"
