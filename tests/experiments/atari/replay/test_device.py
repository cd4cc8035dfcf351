"""The ring on a device against the one on the host, which a plain list checks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.atari.replay import device
from experiments.atari.replay import rows as ring
from experiments.atari.replay.device import DeviceReplay
from experiments.atari.replay.host import Replay
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Layout
from experiments.atari.replay.sum_tree import SumTree
from helpers.checkout.naive_replay import random_steps

SHAPE = (2, 2)


def both(num, prioritization=None, **changes):
    """The two rings after the same steps."""
    layout = Layout(length=20, num_streams=2, num_steps=3)._replace(**changes)
    host = Replay(layout, SHAPE, prioritization)
    own = DeviceReplay(layout, SHAPE, prioritization)
    state, append = own.init(), jax.jit(own.append, donate_argnums=0)
    steps = random_steps(np.random.default_rng(1), num, layout.num_streams, SHAPE)
    for step in steps:
        host.append(step)
        state = append(state, step)
    return host, own, state


def sample(own, state, key, batch_size):
    return jax.jit(own.sample, static_argnums=2)(state, jax.random.key(key), batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("num", [1, 5, 19, 20, 23, 57])
@pytest.mark.parametrize(("stack", "num_steps"), [(1, 1), (4, 3)])
def test_rows_and_priorities_are_those_of_the_host(num, stack, num_steps):
    prioritization = Prioritization()
    host, own, state = both(num, prioritization, stack=stack, num_steps=num_steps)
    jax.tree.map(np.testing.assert_array_equal, state.rows, host.rows)
    assert state.num_positions == host.num_positions
    assert own.size(state) == len(host)
    np.testing.assert_array_equal(state.tree[64:104], host._tree.weights)
    assert state.tree[1] == host._tree.total


def test_transitions_are_those_of_the_host():
    host, own, state = both(57)
    first, count = ring.drawable(host.layout, host.num_positions)
    pairs = itertools.product(range(first, first + count), range(2))
    positions, streams = np.array(list(pairs)).T
    ones = np.ones(len(positions), np.float32)
    expected = ring.gather(host.layout, host.rows, positions, streams, ones)
    gather = jax.jit(ring.gather, static_argnums=0)
    ours = gather(own.layout, state.rows, positions, streams, ones)
    jax.tree.map(np.testing.assert_array_equal, ours, expected)


@pytest.mark.slow
@pytest.mark.parametrize("num_items", [1, 2, 7, 8, 9, 100])
def test_its_tree_is_that_of_the_host(num_items):
    generator = np.random.default_rng(num_items)
    host = SumTree(num_items)
    tree = jnp.zeros(len(host._nodes))
    for _ in range(5):
        items = generator.permutation(num_items)[:5]
        new = np.round(4 * generator.random(len(items)))
        host.set(items, new)
        tree = device.set_weights(tree, items, jnp.asarray(new))
        np.testing.assert_array_equal(tree, host._nodes)
        shares = np.arange(50, dtype=np.float32) / 64  # exact in both
        if host.total:
            np.testing.assert_array_equal(
                device.draw(tree, jnp.asarray(shares)), host.draw(shares)
            )


def test_uniform_draws_are_even():
    host, own, state = both(50)
    batch = sample(own, state, 0, 30_000)
    rows, counts = np.unique(batch.rows, return_counts=True)
    mean = 30_000 / len(host)
    assert len(rows) == len(host)
    assert np.abs(counts - mean).max() < 5 * mean**0.5
    np.testing.assert_allclose(batch.probabilities, 1 / len(host), rtol=1e-6)


@pytest.mark.slow
def test_prioritized_draws_come_at_the_probabilities_of_their_batch():
    host, own, state = both(50, Prioritization(exponent=0.5, uniform_share=0.1))
    rows = np.flatnonzero(host._tree.weights)
    priorities = np.linspace(0, 4, len(rows)) ** 2
    host.set_priorities(rows, priorities)
    state = own.set_priorities(state, rows, jnp.asarray(priorities))
    np.testing.assert_allclose(state.tree[64:104], host._tree.weights, rtol=1e-6)
    assert state.max_priority == 16
    batch = sample(own, state, 1, 60_000)
    shares = np.bincount(batch.rows, minlength=40) / 60_000
    weights = np.asarray(host._tree.weights)
    first, count = ring.drawable(host.layout, host.num_positions)
    can_be_drawn = np.zeros(40, bool)
    for position in range(first, first + count):
        can_be_drawn[position % 20 * 2 : position % 20 * 2 + 2] = True
    expected = can_be_drawn * 0.1 / len(host) + 0.9 * weights / weights.sum()
    np.testing.assert_allclose(shares, expected, atol=0.005)
    np.testing.assert_allclose(batch.probabilities, expected[batch.rows], rtol=1e-5)


def test_a_row_without_a_transition_gets_no_priority():
    host, own, state = both(50, Prioritization())
    state = own.set_priorities(state, np.arange(40), jnp.ones(40))
    assert host.rows.is_last.any()
    np.testing.assert_array_equal(state.tree[64:104], ~host.rows.is_last)


def test_priorities_that_are_all_zero_draw_evenly():
    host, own, state = both(50, Prioritization(uniform_share=0.0))
    state = own.set_priorities(state, np.arange(40), jnp.zeros(40))
    batch = sample(own, state, 0, 100)
    np.testing.assert_allclose(batch.probabilities, 1 / len(host), rtol=1e-6)
    assert len(np.unique(batch.rows)) > 5


@pytest.mark.slow
def test_members_have_rings_of_their_own():
    """Under `vmap`, as a sweep over seeds has them."""
    _, own, state = both(10, Prioritization())
    states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    together = jax.jit(jax.vmap(lambda s, k: own.sample(s, k, 8)))(states, keys)
    for i in range(2):
        alone = sample(own, state, i, 8)
        jax.tree.map(
            lambda a, b: np.testing.assert_array_equal(a[i], b),  # noqa: B023
            together,
            alone,
        )
