"""Returns and losses are those of rlax, where that is installed."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.atari import losses

N, ACTIONS, ATOMS = 5, 4, 7
SUPPORT = losses.atoms(ATOMS, 3.0)  # -3, -2, ..., 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning"),
]


@pytest.fixture(scope="module")
def rlax():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("rlax", reason="rlax, the oracle, is not installed")


@pytest.fixture(scope="module")
def batch():
    keys = iter(jax.random.split(jax.random.key(0), 8))
    return {
        "actions": jax.random.randint(next(keys), (N,), 0, ACTIONS),
        "returns": jax.random.normal(next(keys), (N,)),
        "discounts": jnp.array([0.99, 0.0, 0.9, 0.5, 1.0]),
        "values": jax.random.normal(next(keys), (N, ACTIONS)),
        "next_values": 2 * jax.random.normal(next(keys), (N, ACTIONS)),
        "selector": jax.random.normal(next(keys), (N, ACTIONS)),
        "logits": jax.random.normal(next(keys), (N, ACTIONS, ATOMS)),
        "next_logits": 2 * jax.random.normal(next(keys), (N, ACTIONS, ATOMS)),
    }


def test_returns_equal_rlax(rlax):
    keys = jax.random.split(jax.random.key(1), 3)
    rewards = jax.random.normal(keys[0], (N, 4))
    discounts = jax.random.choice(keys[1], jnp.array([0.0, 0.9, 0.99]), (N, 4))
    values = jax.random.normal(keys[2], (N,))
    returns, remaining = losses.n_step_returns(rewards, discounts)
    for i in range(N):
        # Values before the last do not enter at n = 4.
        theirs = rlax.n_step_bootstrapped_returns(
            rewards[i], discounts[i], jnp.full(4, values[i]), n=4
        )
        np.testing.assert_allclose(
            returns[i] + remaining[i] * values[i], theirs[0], rtol=1e-5
        )


@pytest.mark.parametrize("double", [False, True])
def test_errors_equal_rlax(rlax, batch, double):
    selector = batch["selector" if double else "next_values"]
    targets = losses.value_targets(
        batch["returns"],
        batch["discounts"],
        batch["next_values"],
        losses.greedy_actions(selector),
    )
    ours = targets - losses.of_actions(batch["values"], batch["actions"])
    before = (batch["values"], batch["actions"], batch["returns"], batch["discounts"])
    if double:
        theirs = jax.vmap(rlax.double_q_learning)(
            *before, batch["next_values"], batch["selector"]
        )
    else:
        theirs = jax.vmap(rlax.q_learning)(*before, batch["next_values"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_mean_of_huber_losses_is_a_gradient_clipped_at_one_over_the_batch(rlax):
    errors = jnp.array([0.5, -1.0, 3.0, -4.0])

    def clipped(errors):
        return jnp.mean(rlax.l2_loss(rlax.clip_gradient(errors, -1 / 4, 1 / 4)))

    ours = jax.grad(lambda x: losses.huber_losses(x).mean())(errors)
    np.testing.assert_allclose(ours, jax.grad(clipped)(errors), rtol=1e-6)


def test_projections_equal_rlax(rlax, batch):
    probabilities = jax.nn.softmax(batch["next_logits"][:, 0])
    ours = losses.project_distributions(
        SUPPORT, probabilities, batch["returns"], batch["discounts"]
    )

    def theirs(p, returned, discount):
        return rlax.categorical_l2_project(returned + discount * SUPPORT, p, SUPPORT)

    expected = jax.vmap(theirs)(probabilities, batch["returns"], batch["discounts"])
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_allclose(ours.sum(1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_categorical_losses_equal_rlax(rlax, batch, double):
    values = losses.expected_values(batch["next_logits"], SUPPORT)
    selector = batch["selector"] if double else values
    next_logits = losses.of_actions(
        batch["next_logits"], losses.greedy_actions(selector)
    )
    targets = losses.project_distributions(
        SUPPORT, jax.nn.softmax(next_logits), batch["returns"], batch["discounts"]
    )
    ours = losses.cross_entropies(
        losses.of_actions(batch["logits"], batch["actions"]), targets
    )

    def theirs(row):
        logits, action, returned, discount, next_logits, selector = row
        before = (SUPPORT, logits, action, returned, discount, SUPPORT, next_logits)
        if double:
            return rlax.categorical_double_q_learning(*before, selector)
        return rlax.categorical_q_learning(*before)

    names = ("logits", "actions", "returns", "discounts", "next_logits", "selector")
    expected = jax.vmap(theirs)(tuple(batch[name] for name in names))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
