"""Ranks of feature matrices: by hand, their limits, invariances and edge cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nap_optax.metrics import effective_rank, stable_rank

RANKS = [effective_rank, stable_rank]


def features_with(singular_values, shape=(9, 5), seed=0):
    """A matrix with these singular values and random singular vectors."""
    generator = np.random.default_rng(seed)
    left, right = (np.linalg.qr(generator.normal(size=(d, d)))[0] for d in shape)
    k = len(singular_values)
    matrix = left[:, :k] @ np.diag(singular_values) @ right[:, :k].T
    return jnp.asarray(matrix, jnp.float32)


def test_effective_rank_by_hand():
    # Shares 1/2, 1/4, 1/4: an entropy of (3/2) log 2, so 2^(3/2).
    features = features_with([2.0, 1.0, 1.0])
    np.testing.assert_allclose(effective_rank(features), 2**1.5, rtol=1e-4)


def test_stable_rank_by_hand():
    # (4 + 1 + 1) / 4.
    features = features_with([2.0, 1.0, 1.0])
    np.testing.assert_allclose(stable_rank(features), 1.5, rtol=1e-5)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_equal_singular_values_give_the_rank(rank, k):
    np.testing.assert_allclose(rank(features_with([0.7] * k)), k, rtol=1e-4)


@pytest.mark.parametrize("rank", RANKS)
def test_rotation_scale_and_transposition_change_nothing(rank):
    features = features_with([3.0, 2.0, 0.5, 0.1])
    rotated = features @ features_with([1.0] * 5, shape=(5, 5), seed=1)
    for same in (rotated, features.T, 1e-25 * features, 1e25 * features):
        np.testing.assert_allclose(rank(same), rank(features), rtol=1e-4)


@pytest.mark.parametrize("rank", RANKS)
def test_zero_features_have_rank_zero(rank):
    assert rank(jnp.zeros((4, 3))) == 0
    assert jnp.isnan(rank(jnp.ones((4, 3)).at[0, 0].set(jnp.nan)))


@pytest.mark.parametrize("rank", RANKS)
def test_jit_and_vmap(rank):
    stacked = jnp.stack([features_with([2.0, 1.0], seed=s) for s in range(3)])
    batched = jax.jit(jax.vmap(rank))(stacked)
    np.testing.assert_allclose(batched, [rank(f) for f in stacked], rtol=1e-5)


@pytest.mark.parametrize("rank", RANKS)
def test_bfloat16_features_give_float32(rank):
    features = features_with([2.0, 1.0, 1.0])
    value = rank(features.astype(jnp.bfloat16))
    assert value.dtype == jnp.float32
    # The rounding of the features themselves counts as small singular values.
    np.testing.assert_allclose(value, rank(features), rtol=0.03)


@pytest.mark.parametrize("rank", RANKS)
def test_shape_that_is_no_matrix(rank):
    with pytest.raises(ValueError, match=r"^features must .*got shape \(2, 3, 4\)"):
        rank(jnp.ones((2, 3, 4)))
