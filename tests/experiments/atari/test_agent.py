"""How an agent acts."""

import jax
import numpy as np
import pytest

from experiments.atari.agent import Agent
from experiments.atari.config import Config

SHAPE, ACTIONS, N = (3, 3, 2), 4, 64


def acting(name):
    agent = Agent(Config(agent=name), SHAPE, ACTIONS, stack=1)
    params = agent.init(jax.random.key(0))
    generator = np.random.default_rng(0)
    observations = generator.integers(0, 2, (N, *SHAPE), np.uint8)

    @jax.jit
    def act(key, epsilon):
        return agent.act(params, observations, jax.random.key(key), epsilon)

    @jax.jit
    def evaluate(key, epsilon):
        own = jax.random.key(key)
        return agent.act(params, observations, own, epsilon, evaluates=True)

    return agent, act, evaluate


def test_all_random_they_need_no_network():
    agent, act, _ = acting("dqn")
    random = agent.random_actions(jax.random.key(1), N)
    np.testing.assert_array_equal(act(1, 1.0), random)
    assert len(np.unique(random)) == ACTIONS
    assert (act(1, 0.0) != random).any()


@pytest.mark.slow
def test_an_evaluation_is_without_noise_and_as_random_as_asked_for():
    _, act, evaluate = acting("rainbow")
    assert (act(1, 0.0) != act(2, 0.0)).any()
    np.testing.assert_array_equal(evaluate(1, 0.0), evaluate(2, 0.0))
    assert (evaluate(1, 0.5) != evaluate(2, 0.5)).any()
    # A noisy agent that learns has no random share.
    np.testing.assert_array_equal(act(1, 0.5), act(1, 0.0))
