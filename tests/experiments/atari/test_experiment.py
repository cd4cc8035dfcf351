"""Rounds of a compiled run: how many updates and resets it has."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.atari.config import Config
from experiments.atari.experiment import Experiment
from experiments.harness.members import hyperparameters
from helpers.checkout.probe_games import ProbeGame


@functools.cache
def output_weights(reset_frames):
    """Of the last layer, after each round of a run that hardly learns."""
    config = Config(
        num_frames=100,
        learning_starts_frames=20,
        replay_steps=100,
        reset="last_layers",
        reset_frames=reset_frames,
        learning_rate=1e-6,
    )
    experiment = Experiment(config, ProbeGame())
    hyper = hyperparameters(config)
    state, fixed = jax.jit(experiment.init)(jnp.uint32(0), hyper)
    step = jax.jit(experiment.step)
    kernels = []
    for _ in range(config.num_steps):
        state = step(state, hyper, fixed)
        params = state.learner.params
        kernels.append(np.asarray(params["action_values"]["output"]["kernel"]))
    return config, kernels, int(state.learner.num_updates)


@pytest.mark.slow
@pytest.mark.parametrize("reset_frames", [20, 19])
def test_no_reset_comes_at_the_end_of_a_run(reset_frames):
    config, kernels, num_updates = output_weights(reset_frames)
    assert num_updates == config.num_updates == 20
    moved = [np.abs(b - a).max() for a, b in itertools.pairwise(kernels)]
    # The first update is in the fifth round; a reset is due after five, ten and 15.
    assert np.flatnonzero(np.array(moved) > 0.01).tolist() == [8, 13, 18]
