"""The target network, resets, and weights of prioritised draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.atari.agent import Agent
from experiments.atari.config import Config
from experiments.atari.learner import Learner
from experiments.atari.replay.rows import Batch
from experiments.harness.members import hyperparameters
from nap_optax import masks

N, SHAPE, ACTIONS = 8, (3, 3, 2), 3


@functools.cache
def build(**options):
    """A learner, and its parameters and targets after each of some updates."""
    config = Config(
        agent_steps_per_update=1.0,
        target_period_frames=3,
        learning_rate=0.01,
        **({"reset_frames": 4} if "reset" in options else {}),
        **options,
    )
    learner = Learner(config, Agent(config, SHAPE, ACTIONS, stack=1))
    hyper = hyperparameters(config)
    update = jax.jit(lambda s, b, k: learner.update(s, hyper, b, 100, k))
    state = jax.jit(lambda key: learner.init(key, hyper))(jax.random.key(0))
    states = [state]
    for i in range(6):
        state, _ = update(state, batch(i, config), jax.random.key(i))
        states.append(state)
    return learner, hyper, states


def batch(seed, config):
    generator = np.random.default_rng(seed)
    n_step = config.switches.n_step
    return Batch(
        frames=generator.integers(0, 2, (N, 1 + n_step, *SHAPE), np.uint8),
        ages=np.zeros((N, 2), np.uint8),
        num_steps=np.full(N, n_step, np.int32),
        actions=generator.integers(0, ACTIONS, N, np.int32),
        rewards=generator.normal(size=(N, n_step)).astype(np.float32),
        discounts=np.full((N, n_step), 0.9, np.float32),
        is_valid=np.arange(N) > 0,
        rows=np.arange(N),
        probabilities=np.linspace(0.01, 0.1, N).astype(np.float32),
    )


def distance(one, other):
    return max(
        jax.tree.leaves(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), one, other))
    )


@pytest.mark.slow
@pytest.mark.parametrize("project", [False, True])
def test_the_target_network_is_a_copy_from_the_last_period(project):
    _, _, states = build(project=project, normalize=project)
    for num, state in enumerate(states):
        copied = states[num - num % 3].params
        assert distance(state.target_params, copied) == 0, num
        assert num == 0 or distance(state.params, states[num - 1].params) > 0
    if project:
        assert_on_their_spheres(states)


def assert_on_their_spheres(states):
    for params in ("params", "target_params"):
        norms = [
            jnp.linalg.norm(getattr(state, params)["action_values"]["hidden"]["kernel"])
            for state in states
        ]
        np.testing.assert_allclose(norms, norms[0], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reset", "project"), [("full", False), ("full", True), ("last_layers", False)]
)
def test_resets_renew_layers_and_the_target_network(reset, project):
    _, _, states = build(reset=reset, project=project, normalize=project)
    # Due before the fifth update; a step moves a weight by hardly more than the rate.
    for num in range(1, 7):
        moved = jax.tree.map(
            lambda a, b: float(jnp.abs(a - b).max()),
            states[num].params,
            states[num - 1].params,
        )
        for path, size in jax.tree.leaves_with_path(moved):
            name = masks.path_name(path)
            is_renewed = num == 5 and (reset == "full" or "/output/" in name)
            assert (size > 0.02) == is_renewed, (num, name, size)
    after = states[5]
    assert distance(after.params, after.target_params) < 0.02
    adams = optax.tree.get_all_with_path(
        after.opt_state, "count", lambda _, leaf: leaf.ndim == 0
    )
    counts = sorted(int(count) for _, count in adams)
    assert counts[0] == 1  # of the layers that were reset
    assert (5 in counts) == (reset == "last_layers")
    if project:
        assert_on_their_spheres(states)


@pytest.mark.slow
def test_transitions_that_are_not_valid_teach_nothing():
    learner, hyper, states = build()
    one = batch(0, learner.config)
    other = one._replace(rewards=np.where(np.arange(N)[:, None] > 0, one.rewards, 9.0))
    key = jax.random.key(0)
    update = jax.jit(lambda b: learner.update(states[0], hyper, b, 100, key)[0].params)
    assert distance(update(one), update(other)) == 0
    changed = one._replace(rewards=one.rewards + 1)
    assert distance(update(one), update(changed)) > 0


def test_weights_make_up_for_priorities_more_and_more():
    config = Config(agent="rainbow", num_frames=45_000)
    learner = Learner(config, Agent(config, SHAPE, ACTIONS, stack=1))
    own = batch(0, config)

    def weights(num_updates):
        return learner._weights(jnp.int32(num_updates), own, 100)

    relative = own.probabilities / own.probabilities.min()
    for num_updates, exponent in ((0, 0.4), (5_000, 0.7), (10_000, 1.0), (11_000, 1.0)):
        expected = own.is_valid * relative**-exponent
        np.testing.assert_allclose(weights(num_updates), expected, rtol=1e-5)


def test_each_pass_of_a_network_draws_its_own_noise(monkeypatch):
    config = Config(agent="rainbow")
    agent = Agent(config, SHAPE, ACTIONS, stack=1)
    keys = []
    outputs = agent._outputs
    monkeypatch.setattr(
        agent,
        "_outputs",
        lambda *arguments: keys.append(arguments[2]) or outputs(*arguments),
    )
    params = jax.eval_shape(agent.init, jax.random.key(0))
    jax.eval_shape(agent.learn, params, params, batch(0, config), jax.random.key(2))
    assert len({id(key) for key in keys}) == 3
