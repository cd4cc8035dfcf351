"""A copy of a ring's frames on a device gives the batches of the ring itself."""

import jax
import numpy as np
import pytest

from experiments.atari.replay import device_frames
from experiments.atari.replay.host import Replay
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Layout
from helpers.checkout.naive_replay import random_steps

LAYOUT = Layout(length=20, num_streams=2, stack=4, num_steps=3, slack=5)
FRAME_SHAPE = (2, 3)


@pytest.mark.parametrize("prioritization", [None, Prioritization()])
@pytest.mark.parametrize("num_before", [0, 9, 33])
def test_batches_are_those_of_the_ring(num_before, prioritization, monkeypatch):
    monkeypatch.setattr(device_frames, "_PIECE", 7 * 6)  # seven frames at a time
    rings = [Replay(LAYOUT, FRAME_SHAPE, prioritization) for _ in range(2)]
    steps = random_steps(np.random.default_rng(0), num_before + 60, 2, FRAME_SHAPE)
    generators = [np.random.default_rng(1) for _ in range(2)]
    for index, step in enumerate(steps):
        if index == num_before:
            rings[1].copy_to_device()
        for own in rings:
            own.append(step)
        if index < num_before or not len(rings[0]):
            continue
        ours, theirs = (
            own.sample(generator, 16)
            for own, generator in zip(rings, generators, strict=True)
        )
        assert isinstance(theirs.frames, jax.Array)
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_frames_of_a_batch_are_those_of_the_copy():
    replay = Replay(LAYOUT, FRAME_SHAPE)
    for step in random_steps(np.random.default_rng(0), 12, 2, FRAME_SHAPE):
        replay.append(step)
    expected = replay.sample(np.random.default_rng(1), 8)
    replay.copy_to_device()
    replay.rows.frames[:] = 0
    batch = replay.sample(np.random.default_rng(1), 8)
    np.testing.assert_array_equal(batch.frames, expected.frames)
    assert np.asarray(expected.frames).any()
