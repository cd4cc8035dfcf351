"""Attention entropy: by hand, at its limits, with zeros, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nap_optax.metrics import attention_entropy


def test_by_hand():
    # Entropies log 2 and 2 log 2 - (3/4) log 3; the mean of the two.
    weights = jnp.array([[0.5, 0.5], [0.75, 0.25]])
    expected = (np.log(2) + 2 * np.log(2) - 0.75 * np.log(3)) / 2
    np.testing.assert_allclose(attention_entropy(weights), expected, rtol=1e-6)


def test_limits():
    np.testing.assert_array_equal(attention_entropy(jnp.eye(4)), 0)
    uniform = jnp.full((2, 3, 5), 0.2)
    np.testing.assert_allclose(attention_entropy(uniform), np.log(5), rtol=1e-6)
    assert attention_entropy(jnp.zeros((2, 3))) == 0


def test_gradient_is_finite_at_zero_weights():
    weights = jnp.array([[1.0, 0.0], [0.5, 0.5]])
    gradient = jax.grad(attention_entropy)(weights)
    # -(1 + log w) / 2 for the mean of two rows; 0 where the weight is 0.
    inner = -(1 + np.log(0.5)) / 2
    np.testing.assert_allclose(gradient, [[-0.5, 0.0], [inner, inner]], rtol=1e-6)


def test_jit_and_vmap():
    logits = np.random.default_rng(0).normal(size=(3, 4, 2, 5))
    weights = jax.nn.softmax(jnp.asarray(logits, jnp.float32))
    batched = jax.jit(jax.vmap(attention_entropy))(weights)
    expected = [attention_entropy(w) for w in weights]
    np.testing.assert_allclose(batched, expected, rtol=1e-6)
    np.testing.assert_allclose(batched.mean(), attention_entropy(weights), rtol=1e-6)


def test_bfloat16_weights_give_float32():
    entropy = attention_entropy(jnp.full((2, 4), 0.25, jnp.bfloat16))
    assert entropy.dtype == jnp.float32
    np.testing.assert_allclose(entropy, np.log(4), rtol=1e-6)


def test_a_scalar_is_refused():
    with pytest.raises(ValueError, match=r"^weights must .*got shape \(\)"):
        attention_entropy(jnp.float32(1))
