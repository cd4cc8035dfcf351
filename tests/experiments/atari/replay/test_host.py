"""The ring on the host against a plain list of all steps."""

import itertools

import jax
import numpy as np
import pytest

from experiments.atari import losses
from experiments.atari.replay import rows as ring
from experiments.atari.replay.host import Replay
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Layout
from experiments.harness import memory
from experiments.harness.messages import UserError
from helpers.checkout.naive_replay import NaiveReplay, random_steps

LAYOUTS = [
    Layout(length, num_streams=streams, stack=stack, num_steps=n, slack=slack)
    for length, streams, stack, n, slack in (
        *itertools.product((9, 16), (1, 3), (1, 4), (1, 3), (0,)),
        (16, 3, 4, 3, 5),
        (9, 1, 1, 1, 2),
    )
]


def every_transition(replay):
    """All that can be drawn, by (position, stream)."""
    first, count = ring.drawable(replay.layout, replay.num_positions)
    pairs = itertools.product(
        range(first, first + count), range(replay.layout.num_streams)
    )
    positions, streams = np.array(list(pairs)).reshape(-1, 2).T
    batch = ring.gather(
        replay.layout, replay.rows, positions, streams, np.ones(len(positions))
    )
    observations = [
        np.asarray(o) for o in ring.observations(batch, replay.layout.stack)
    ]
    returns, factors = losses.n_step_returns(batch.rewards, batch.discounts)
    return {
        key: (
            observations[0][i],
            batch.actions[i],
            returns[i],
            factors[i],
            observations[1][i],
            batch.is_valid[i],
        )
        for i, key in enumerate(zip(positions.tolist(), streams.tolist(), strict=True))
    }


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    "frame_shape",
    [(2, 3), pytest.param((2, 3, 2), marks=pytest.mark.thorough)],
    ids=str,
)
def test_transitions_are_those_of_a_list_of_all_steps(layout, frame_shape):
    generator = np.random.default_rng(0)
    replay, naive = Replay(layout, frame_shape), NaiveReplay(layout)
    steps = random_steps(generator, 40, layout.num_streams, frame_shape)
    for num, step in enumerate(steps, start=1):
        replay.append(step)
        naive.append(step)
        if num % 6 and num not in (layout.length, layout.length + 1):
            continue
        drawn = every_transition(replay) if len(replay) else {}
        assert list(drawn) == naive.valid_starts(), num
        assert len(replay) == len(drawn)
        for key, ours in drawn.items():
            expected = naive.transition(*key)
            assert ours[5] == (expected is not None)
            if expected is None:
                continue
            observation, action, returned, factor, following = expected
            np.testing.assert_array_equal(ours[0], observation)
            assert ours[1] == action
            np.testing.assert_allclose(ours[2:4], (returned, factor), rtol=1e-5)
            if following is not None:
                np.testing.assert_array_equal(ours[4], following)


def every_row(replay):
    """Where all that can be drawn begins."""
    layout = replay.layout
    first, count = ring.drawable(layout, replay.num_positions)
    slots = np.arange(first, first + count)[:, None] % layout.length
    return (slots * layout.num_streams + np.arange(layout.num_streams)).ravel()


def filled(num=50, prioritization=None, **changes):
    layout = Layout(length=20, num_steps=3)._replace(**changes)
    replay = Replay(layout, (2, 2), prioritization)
    generator = np.random.default_rng(1)
    for step in random_steps(generator, num, layout.num_streams, (2, 2)):
        replay.append(step)
    return replay


def test_uniform_draws_are_even():
    replay = filled(num_streams=2)
    batch = replay.sample(np.random.default_rng(0), 30_000)
    rows, counts = np.unique(batch.rows, return_counts=True)
    assert len(rows) == len(replay) == (20 - 3 - 3) * 2
    # A count varies by the root of its mean.
    mean = 30_000 / len(replay)
    assert np.abs(counts - mean).max() < 5 * mean**0.5
    np.testing.assert_allclose(batch.probabilities, 1 / len(replay))


def test_prioritized_draws_come_at_the_probabilities_of_their_batch():
    replay = filled(
        prioritization=Prioritization(exponent=0.5, uniform_share=0.1), num_streams=2
    )
    before = replay.sample(np.random.default_rng(0), 2000)
    rows = np.unique(before.rows[before.is_valid])
    replay.set_priorities(rows, np.linspace(0, 4, len(rows)) ** 2)
    batch = replay.sample(np.random.default_rng(1), 60_000)
    shares = np.bincount(batch.rows, minlength=40) / 60_000
    weights = np.zeros(40)
    weights[rows] = np.linspace(0, 4, len(rows))  # the root of their squares
    can_be_drawn = np.zeros(40, bool)
    can_be_drawn[every_row(replay)] = True
    expected = can_be_drawn * 0.1 / len(replay) + 0.9 * weights / weights.sum()
    np.testing.assert_allclose(shares, expected, atol=0.005)
    np.testing.assert_allclose(batch.probabilities, expected[batch.rows], rtol=1e-5)


@pytest.mark.parametrize("num", [1, 4, 5, 17, 18, 20, 21, 39, 40, 41, 57])
@pytest.mark.parametrize(
    ("stack", "num_steps", "slack"), [(1, 1, 0), (4, 1, 0), (4, 3, 0), (4, 3, 5)]
)
def test_exactly_what_can_be_drawn_has_a_priority(num, stack, num_steps, slack):
    replay = filled(
        num,
        Prioritization(uniform_share=0.0),
        num_streams=2,
        stack=stack,
        num_steps=num_steps,
        slack=slack,
    )
    expected = np.zeros(40)
    own = every_row(replay)
    expected[own] = ~replay.rows.is_last[own]
    np.testing.assert_array_equal(replay._tree.weights, expected)


def test_a_row_without_a_transition_gets_no_priority():
    replay = filled(prioritization=Prioritization(), num_streams=2)
    rows = np.arange(40)
    replay.set_priorities(rows, np.ones(40))
    assert replay.rows.is_last.any()
    can_be_drawn = np.zeros(40, bool)
    can_be_drawn[every_row(replay)] = True
    expected = can_be_drawn & ~replay.rows.is_last
    np.testing.assert_array_equal(replay._tree.weights, expected)


def test_what_can_no_longer_be_drawn_gets_no_priority():
    replay = filled(prioritization=Prioritization(), num_streams=2, slack=4)
    rows = every_row(replay)
    for step in random_steps(np.random.default_rng(2), 4, 2, (2, 2)):
        replay.append(step)
    replay.set_priorities(rows, np.ones(len(rows)))
    drawn = replay._tree.weights > 0
    assert set(np.flatnonzero(drawn)) <= set(every_row(replay))
    assert drawn.sum() == (~replay.rows.is_last[every_row(replay)]).sum()


@pytest.mark.parametrize("prioritization", [None, Prioritization()])
def test_a_ring_that_is_restored_has_the_same_future(prioritization):
    replay = filled(prioritization=prioritization, num_streams=2, slack=5)
    saved = replay.state()

    def future(replay):
        generator = np.random.default_rng(3)
        for step in random_steps(generator, 5, 2, (2, 2)):
            replay.append(step)
            batch = replay.sample(generator, 8)
            replay.set_priorities(batch.rows, generator.random(8))
            yield batch

    expected = list(future(replay))
    # What was appended meanwhile is in the slack, and nothing of before is lost.
    other = Replay(replay.layout, (2, 2), prioritization, frames=replay.rows.frames)
    other.restore(saved)
    assert other.frames_are_whole()
    for ours, theirs in zip(expected, future(other), strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("slack", [0, 5])
def test_a_frame_that_is_damaged_is_found(slack):
    replay = filled(slack=slack)
    for position in range(50 - 20, 50):
        row = position % 20
        before = replay.rows.frames[row].copy()
        replay.rows.frames[row, 1, 1] ^= 1
        assert replay.frames_are_whole() == (position < 30 + slack)
        replay.rows.frames[row] = before
    assert replay.frames_are_whole()


def test_a_new_transition_has_the_highest_priority_so_far():
    replay = filled(prioritization=Prioritization(exponent=0.5))
    batch = replay.sample(np.random.default_rng(0), 1)
    replay.set_priorities(batch.rows, np.array([9.0]))
    replay.set_priorities(batch.rows, np.array([0.0]))
    for step in random_steps(np.random.default_rng(2), 1, 1, (2, 2)):
        replay.append(step)
    new = (replay.num_positions - 1 - 3) % 20
    assert replay._tree.weights[new] == 3 * (not replay.rows.is_last[new])


def test_priorities_that_are_all_zero_draw_evenly():
    replay = filled(prioritization=Prioritization(uniform_share=0.0))
    replay.set_priorities(np.arange(20), np.zeros(20))
    batch = replay.sample(np.random.default_rng(0), 100)
    np.testing.assert_allclose(batch.probabilities, 1 / len(replay))
    assert len(np.unique(batch.rows)) > 5


def test_a_frame_counts_once_in_memory():
    layout = Layout(length=1000)
    assert ring.num_bytes(layout, (84, 84)) == 1000 * (84 * 84 + 11)
    arrays = ring.empty(layout, (84, 84))
    assert sum(array.nbytes for array in arrays) == ring.num_bytes(layout, (84, 84))


def test_its_size_is_said_before_it_is_taken_and_too_much_is_refused(
    capsys, monkeypatch
):
    monkeypatch.setattr(memory, "available", lambda **_: 7_000_000_000)
    with pytest.raises(UserError, match=r"at least 7\.1 GB of memory"):
        Replay(Layout(length=1_000_000))
    assert capsys.readouterr().err == (
        "replay: 1,000,000 frames of 84 x 84 bytes, 7.07 GB\n"
    )


def test_nothing_is_drawn_from_nothing():
    replay = Replay(Layout(length=20), (2, 2))
    with pytest.raises(ValueError, match="no transition can be drawn yet"):
        replay.sample(np.random.default_rng(0), 1)


def test_a_ring_holds_a_transition():
    with pytest.raises(ValueError, match=r"layout\.length=7: must be at least 8"):
        Replay(Layout(length=7, num_steps=3), (2, 2))
