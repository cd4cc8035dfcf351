"""Interquartile means by hand, and their intervals."""

import sys

import numpy as np
import pytest

from experiments.atari import aggregates
from experiments.harness.messages import UserError


def test_a_quarter_is_left_out_at_either_end():
    # Of five games the lowest and the highest.
    scores = np.array([[9.0, 1, 2, 3, -7], [1, 1, 4, 1, 1]])
    np.testing.assert_allclose(aggregates.iqm_by_seed(scores), [2, 1])
    curves = np.stack([scores, scores + 1], axis=-1)
    np.testing.assert_allclose(aggregates.iqm_by_seed(curves), [[2, 3], [1, 2]])


@pytest.mark.slow
def test_over_all_seeds_and_games_it_is_that_of_rliable():
    metrics = pytest.importorskip("rliable.metrics")
    scores = np.random.default_rng(0).normal(size=(5, 7))
    found = aggregates.iqm({"a": scores})["a"]
    np.testing.assert_allclose(found.point, metrics.aggregate_iqm(scores))
    assert found.low < found.point < found.high
    # By hand: the mean of the middle half of eight.
    eight = np.array([[0.0, 1, 2, 3], [4, 5, 6, 100]])
    assert aggregates.iqm({"a": eight})["a"].point == 3.5


@pytest.mark.slow
def test_strata_are_games():
    pytest.importorskip("rliable")
    # Seeds agree and games do not, so that no draw of seeds changes anything.
    scores = np.tile([0.0, 1, 5, 6], (5, 1))
    assert aggregates.iqm({"a": scores})["a"] == (3, 3, 3)


@pytest.mark.slow
def test_curves_have_an_interval_at_each_point():
    pytest.importorskip("rliable")
    scores = np.random.default_rng(0).normal(size=(5, 4, 3))
    found = aggregates.iqm({"a": scores, "b": scores})
    assert found["a"].point.shape == (3,)
    assert (found["a"].low < found["a"].high).all()
    np.testing.assert_allclose(
        found["a"].point[1], aggregates.iqm({"x": scores[..., 1]})["x"].point
    )


@pytest.mark.slow
def test_intervals_are_the_same_again_and_other_draws_go_on():
    pytest.importorskip("rliable")
    scores = {"a": np.random.default_rng(0).normal(size=(5, 4))}
    np.random.seed(7)
    expected = np.random.rand(2)
    np.random.seed(7)
    first = aggregates.iqm(scores)
    assert [np.random.rand(), np.random.rand()] == list(expected)
    assert aggregates.iqm(scores) == first


def test_without_rliable_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "rliable", None)
    with pytest.raises(UserError, match=r"intervals need rliable .*pip install -e"):
        aggregates.iqm({"a": np.zeros((2, 3))})
