"""Each formula of returns and losses against a case by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.atari import losses


def test_returns_by_hand():
    rewards = jnp.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    discounts = jnp.array([[0.5, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    returns, remaining = losses.n_step_returns(rewards, discounts)
    # 1 + 2/2 + 4/4; the second ends after two steps, the third with the last.
    np.testing.assert_allclose(returns, [3.0, 2.0, 3.0])
    np.testing.assert_allclose(remaining, [0.125, 0.0, 0.0])


def test_one_step_is_its_reward():
    returns, remaining = losses.n_step_returns(jnp.ones((2, 1)), jnp.full((2, 1), 0.9))
    np.testing.assert_allclose(returns, 1.0)
    np.testing.assert_allclose(remaining, 0.9)


def test_targets_by_hand():
    next_values = jnp.array([[1.0, 3.0], [2.0, 0.0]])
    # The values of the online network prefer the other action in the first row.
    selector = jnp.array([[5.0, 4.0], [1.0, 0.0]])
    returns, discounts = jnp.array([10.0, 20.0]), jnp.array([0.5, 0.0])
    plain = losses.value_targets(
        returns, discounts, next_values, losses.greedy_actions(next_values)
    )
    double = losses.value_targets(
        returns, discounts, next_values, losses.greedy_actions(selector)
    )
    np.testing.assert_allclose(plain, [11.5, 20.0])
    np.testing.assert_allclose(double, [10.5, 20.0])


def test_huber_by_hand():
    errors = jnp.array([0.5, -1.0, 3.0, -4.0])
    np.testing.assert_allclose(losses.huber_losses(errors), [0.125, 0.5, 2.5, 3.5])
    gradient = jax.grad(lambda x: losses.huber_losses(x).sum())(errors)
    np.testing.assert_allclose(gradient, [0.5, -1.0, 1.0, -1.0])


def test_atoms_and_means_by_hand():
    np.testing.assert_allclose(losses.atoms(3, 10.0), [-10.0, 0.0, 10.0])
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
    mean = losses.expected_values(logits, losses.atoms(3, 10.0))
    np.testing.assert_allclose(mean, [-2.5], rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize(
    ("returned", "discount", "expected"),
    [
        # The distribution is .5 at -1, .3 at 0 and .2 at 1.
        (0.0, 1.0, [0.5, 0.3, 0.2]),
        # Moved by a quarter, what leaves the last atom stays there.
        (0.25, 1.0, [0.375, 0.125 + 0.225, 0.075 + 0.2]),
        # To -.5, 0 and .5.
        (0.0, 0.5, [0.25, 0.25 + 0.3 + 0.1, 0.1]),
        # An episode that has ended: all of it at the return.
        (-0.5, 0.0, [0.5, 0.5, 0.0]),
        (7.0, 0.9, [0.0, 0.0, 1.0]),
        (-7.0, 0.9, [1.0, 0.0, 0.0]),
    ],
)
def test_projections_by_hand(returned, discount, expected, scale):
    projected = losses.project_distributions(
        losses.atoms(3, scale),
        jnp.array([[0.5, 0.3, 0.2]]),
        jnp.array([scale * returned]),
        jnp.array([discount]),
    )
    np.testing.assert_allclose(projected, [expected], atol=1e-6)


def test_weights_by_hand():
    probabilities = jnp.array([0.5, 0.125])
    # (4 · .5)^-½ = .7071 and (4 · .125)^-½ = 1.4142, over the larger one
    weights = losses.importance_weights(probabilities, 4, 0.5)
    np.testing.assert_allclose(weights, [0.5, 1.0], rtol=1e-6)
    even = losses.importance_weights(jnp.full(3, 0.1), 10, 0.7)
    np.testing.assert_allclose(even, 1.0, rtol=1e-6)
    np.testing.assert_allclose(losses.importance_weights(probabilities, 4, 0.0), 1.0)
