"""Hand-computed measurements and judgements."""

import numpy as np
import pytest

from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim, judge
from experiments.reproduce.runs import Runs

ACCURACY = {0: [0.1, 0.99, 0.5, 1.0], 1: [0.2, 0.3, 0.4, 0.5]}


@pytest.fixture
def runs():
    """Two seeds of one arm, evaluated at 10, 20, 30 and 40."""
    return Runs(
        {"arm": "a", "seed": seed, "step": 10 * (i + 1), "test_accuracy": value}
        for i in range(4)
        for seed, values in ACCURACY.items()
        for value in [values[i]]
    )


def test_curves_have_one_row_for_each_seed(runs):
    steps, values = runs.curve("a", "test_accuracy")
    assert steps.tolist() == [10, 20, 30, 40]
    assert values.tolist() == list(ACCURACY.values())
    assert runs.arms == ["a"]


def test_the_first_crossing_counts_although_it_falls_again(runs):
    assert runs.first_step("a", 0.99).tolist() == [20, np.inf]
    assert runs.first_step("a", 0.4).tolist() == [20, 30]
    # After update 20: at 30 (.5) and at 30 (.4), counted from there.
    assert runs.first_step("a", 0.4, since=20).tolist() == [10, 10]
    assert runs.first_step("a", 0.99, since=20).tolist() == [20, np.inf]


def test_the_other_measurements(runs):
    assert runs.late("a", last=3).tolist() == [0.99, 0.4]
    assert runs.highest("a").tolist() == [1.0, 0.5]
    assert runs.highest("a", since=40 - 1).tolist() == [1.0, 0.5]
    assert runs.at("a", 35).tolist() == [0.5, 0.4]


def verdict(values, **bounds):
    return judge(Claim("it", lambda _: np.asarray(values), **bounds), Runs([]))


@pytest.mark.parametrize(
    ("values", "bounds", "holds"),
    [
        ([100, 300, 900], {"at_most": 300}, True),  # the median is 300
        ([100, 301, 301], {"at_most": 300}, False),
        ([100, 200, np.inf], {"at_most": 300}, True),  # most seeds do
        ([100, np.inf, np.inf], {"at_most": 300}, False),
        ([0.2, 0.4], {"at_least": 0.3}, True),
        ([0.2, 0.4], {"at_least": 0.3, "at_most": 0.29}, False),
        ([np.nan, 0.4, 0.4], {"at_least": 0.3}, False),
        ([-np.inf, np.inf], {"at_most": 1.0}, False),
    ],
)
def test_the_median_over_seeds_is_judged(values, bounds, holds):
    assert verdict(values, **bounds).holds is holds


def test_a_ratio_of_two_that_never_happen_holds_nothing():
    claim = Claim("r", lambda _: np.full(2, np.inf) / np.full(2, np.inf), at_most=1)
    assert not judge(claim, Runs([])).holds


def test_a_line_says_all_there_is_to_say():
    claim = Claim(
        says="it generalises",
        measure=lambda _: np.asarray([250.0, 300, np.inf]),
        at_most=1000,
        paper="3000",
    )
    assert judge(claim, Runs([])).line == (
        "holds          it generalises: 300 [250, never], expected at most 1000; the "
        "paper's figure: 3000"
    )
    assert verdict([0.12345], at_least=0.5).line == (
        "does not hold  it: 0.123, expected at least 0.5"
    )


def test_numbers_are_short():
    assert claims.spread([1200.4, 5, np.inf], never=">9") == "1200 [5, >9]"
    assert claims.spread([1, np.nan, 3]) == "2 [1, 3] (2 of 3)"
    assert claims.spread([np.nan] * 2) == "-"
    assert claims.number(0.98765) == "0.988"


def test_a_table_is_markdown():
    assert claims.table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_points_are_read():
    assert drawing.points("1000:.23 2000:1") == [(1000, 0.23), (2000, 1)]
