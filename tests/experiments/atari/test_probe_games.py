"""Each preset and schedule learns the values of games whose values are known."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.atari.config import Config
from experiments.atari.experiment import Experiment
from experiments.harness.members import hyperparameters
from helpers.checkout.probe_games import DISCOUNT, KINDS, ProbeGame, expected_values

PLAIN = Config(
    num_frames=3_000,
    learning_rate=3e-3,
    agent_steps_per_update=1.0,
    replay_steps=500,
    learning_starts_frames=64,
    target_period_frames=50,
    exploration_frames=1_500,
    final_epsilon=0.3,
    discount=DISCOUNT,
)
RAINBOW = {
    **{"agent": "rainbow", "v_max": 2.0, "num_atoms": 21},
    **{"exploration_frames": None, "final_epsilon": Config.final_epsilon},
}
AGENTS = {
    "dqn": {"agent": "dqn"},
    "rainbow": RAINBOW,
    "projected dqn": {"agent": "dqn", "normalize": True, "project": True},
    "projected rainbow": {**RAINBOW, "normalize": True, "project": True},
    "cyclic": {"learning_rate_schedule": "cyclic", "cycle_frames": 750},
    "stopped": {
        **{"learning_rate_schedule": "cyclic", "cycle_frames": 750},
        **{"stop_cycling_frames": 2_250, "low_learning_rate": 1e-4},
    },
    "one cycle": {"learning_rate_schedule": "one_cycle"},
    "cusum": {"learning_rate_schedule": "cusum", "cycle_frames": 2_000},
    "projected cyclic rainbow": {
        **{**RAINBOW, "normalize": True, "project": True},
        **{"learning_rate_schedule": "cyclic", "cycle_frames": 750},
    },
}
ALWAYS = {
    "dqn": tuple(KINDS),
    # Values of both signs, and all that an agent has to do.
    "rainbow": ("observation", "delayed"),
}
# Thousands of steps take longer than to compile them well.
OPTIONS = {"xla_backend_optimization_level": 2}


@functools.cache
def build(name):
    """Its run as two compiled functions: the values after it, given a kind of game."""
    config = dataclasses.replace(PLAIN, **AGENTS[name])
    experiment, hyper = Experiment(config, ProbeGame()), hyperparameters(config)

    @functools.partial(jax.jit, compiler_options=OPTIONS)
    def learned_values(kind, seed, observations):
        state, _ = experiment.init(seed, hyper)
        states = state.playing.states
        states = states._replace(kind=jnp.broadcast_to(kind, states.kind.shape))
        state = state._replace(playing=state.playing._replace(states=states))
        state, _ = jax.lax.scan(
            lambda carry, _: (experiment.step(carry, hyper, ()), None),
            state,
            length=config.num_steps,
        )
        agent = experiment.agent
        outputs, _ = agent._outputs(state.learner.params, observations, None)
        return agent.values(outputs)

    return learned_values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(
            name,
            kind,
            marks=() if kind in ALWAYS.get(name, ()) else pytest.mark.thorough,
        )
        for name in AGENTS
        for kind in KINDS
    ],
)
def test_each_agent_solves_each_probe(name, kind):
    observations, expected, on_path = expected_values(KINDS[kind])
    # One shape for all kinds, so that an agent is compiled once.
    num = len(expected)
    padded = jnp.zeros((10, 3, 3, 4), jnp.uint8).at[:num].set(observations)
    values = build(name)(jnp.int32(KINDS[kind]), jnp.uint32(0), padded)[:num]
    if "rainbow" in name:
        # It is greedy but for its noise, and does not know what it does not do.
        chosen = np.asarray(values)[on_path].argmax(1)
        values, expected = values[on_path].max(1), expected[on_path]
        of_chosen = expected[np.arange(len(chosen)), chosen]
        expected = expected.max(1)
        np.testing.assert_array_equal(of_chosen, expected)
    np.testing.assert_allclose(values, expected, atol=0.2)
