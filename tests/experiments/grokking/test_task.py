import itertools

import jax
import numpy as np
import pytest

from experiments.grokking.task import Pairs, labels, permutation_products, split_pairs


def test_labels_by_hand():
    pairs = Pairs(np.array([0, 3, 6, 6]), np.array([0, 4, 0, 6]))
    # 0, 7 mod 7 = 0, 6, 12 mod 7 = 5
    np.testing.assert_array_equal(labels(pairs, 7), [0, 0, 6, 5])


@pytest.mark.parametrize(
    ("operation", "results"),
    [
        ("subtraction", [0, 6, 6, 0]),  # 0, -1, 6, 0
        ("multiplication", [0, 5, 0, 1]),  # 0, 12, 0, 36
        ("quadratic", [0, 2, 1, 3]),  # 0, 9 + 12 + 16 = 37, 36, 3 * 36 = 108
    ],
)
def test_other_operations_by_hand(operation, results):
    pairs = Pairs(np.array([0, 3, 6, 6]), np.array([0, 4, 0, 6]))
    np.testing.assert_array_equal(labels(pairs, 7, operation), results)


def test_s5_by_hand():
    elements = list(itertools.permutations(range(5)))
    # x swaps the first two things; y moves each to the next place.
    x, y = elements.index((1, 0, 2, 3, 4)), elements.index((1, 2, 3, 4, 0))
    x_after_y = elements.index((0, 2, 3, 4, 1))  # i -> x[y[i]]
    y_after_x = elements.index((2, 1, 3, 4, 0))  # i -> y[x[i]]
    pairs = Pairs(np.array([x, y, 0]), np.array([y, x, y]))
    np.testing.assert_array_equal(labels(pairs, 7, "s5"), [x_after_y, y_after_x, y])


def test_s5_is_a_group():
    table = permutation_products()
    assert table.shape == (120, 120)
    everything = np.arange(120)
    np.testing.assert_array_equal(table[0], everything)  # the identity
    assert all((np.sort(row) == everything).all() for row in (*table, *table.T))
    np.testing.assert_array_equal(table[table[7, 50], 33], table[7, table[50, 33]])


@pytest.mark.slow
def test_the_split_is_all_ordered_pairs_in_two_parts():
    split = split_pairs(jax.random.key(0), 11, 24)
    assert split.train.x.shape == (24,)
    assert split.test.y.shape == (11 * 11 - 24,)
    together = {
        (int(x), int(y)) for part in split for x, y in zip(part.x, part.y, strict=True)
    }
    assert together == {(x, y) for x in range(11) for y in range(11)}


def test_the_split_depends_on_the_key_alone():
    first, again, other = (
        split_pairs(jax.random.key(seed), 11, 24) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert (np.asarray(first.train.x) != np.asarray(other.train.x)).any()


def test_the_split_is_random_over_rows_and_columns():
    split = split_pairs(jax.random.key(3), 50, 500)
    # 500 of 2500 pairs: a fifth; each value appears ten times, +- five deviations of 3.
    counts = np.bincount(split.train.x, minlength=50)
    assert counts.min() >= 1
    assert counts.max() <= 25
    assert len(np.unique(counts)) > 3
