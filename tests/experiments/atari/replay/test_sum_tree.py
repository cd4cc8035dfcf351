"""The sum tree against sums of all weights."""

import numpy as np
import pytest

from experiments.atari.replay.sum_tree import SumTree


@pytest.mark.parametrize("num_items", [1, 2, 3, 7, 8, 9, 100])
def test_items_are_drawn_at_their_share_of_the_total(num_items):
    generator = np.random.default_rng(num_items)
    tree, weights = SumTree(num_items), np.zeros(num_items)
    for _ in range(30):
        items = generator.integers(num_items, size=5)
        new = np.round(4 * generator.random(5))  # some are 0
        tree.set(items, new)
        weights[items] = new
        np.testing.assert_array_equal(tree.weights, weights)
        assert tree.total == weights.sum()
        if weights.sum():
            shares = generator.random(50)
            # The first item whose running sum is above the share.
            expected = np.searchsorted(
                np.cumsum(weights), shares * weights.sum(), side="right"
            )
            np.testing.assert_array_equal(tree.draw(shares), expected)


def test_an_item_of_weight_0_is_never_drawn():
    tree = SumTree(5)
    tree.set(np.array([1, 3]), np.array([0.1, 0.2]))
    shares = np.append(np.linspace(0, 1, 1000, endpoint=False), np.nextafter(1, 0))
    assert set(tree.draw(shares)) == {1, 3}


def test_sums_do_not_drift():
    tree = SumTree(1000)
    generator = np.random.default_rng(0)
    for _ in range(2000):
        size = 10.0 ** generator.integers(-8, 8)
        tree.set(generator.integers(1000, size=8), size * generator.random(8))
    tree.set(np.arange(1000), np.full(1000, 0.5))
    assert tree.total == 500


def test_filled_is_set():
    weights = np.random.default_rng(0).random(11)
    one, other = SumTree(11), SumTree(11)
    one.set(np.array([3]), np.array([7.0]))
    one.fill(weights)
    other.set(np.arange(11), weights)
    shares = np.linspace(0, 1, 99, endpoint=False)
    np.testing.assert_array_equal(one.draw(shares), other.draw(shares))
    assert one.total == other.total


def test_weights_are_only_to_be_read():
    with pytest.raises(ValueError, match="read-only"):
        SumTree(3).weights[0] = 1.0
