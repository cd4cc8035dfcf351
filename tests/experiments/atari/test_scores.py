"""Scores of the last episodes, by hand and past the end of their ring."""

import jax.numpy as jnp
import numpy as np

from experiments.atari import scores


def test_by_hand():
    state = scores.init(2)
    assert scores.mean_of_last(state) == 0
    state = scores.add(state, jnp.array([1.0, 10.0]), jnp.array([False, True]))
    assert scores.mean_of_last(state) == 10
    state = scores.add(state, jnp.array([2.0, 20.0]), jnp.array([True, True]))
    np.testing.assert_allclose(scores.mean_of_last(state), (10 + 3 + 20) / 3)
    assert state.num_episodes == 3
    np.testing.assert_array_equal(state.running, 0)


def test_only_the_last_hundred_count():
    state = scores.init(1)
    for i in range(130):
        state = scores.add(state, jnp.array([float(i)]), jnp.array([True]))
    np.testing.assert_allclose(scores.mean_of_last(state), np.mean(range(30, 130)))
