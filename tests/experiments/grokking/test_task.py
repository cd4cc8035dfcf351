import jax
import numpy as np

from experiments.grokking.task import Pairs, labels, split_pairs


def test_labels_by_hand():
    pairs = Pairs(np.array([0, 3, 6, 6]), np.array([0, 4, 0, 6]))
    # 0, 7 mod 7 = 0, 6, 12 mod 7 = 5
    np.testing.assert_array_equal(labels(pairs, 7), [0, 0, 6, 5])


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
