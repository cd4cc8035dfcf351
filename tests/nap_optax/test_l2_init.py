"""Regularization toward the initial weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.projecting import norms
from nap_optax import l2_init, masks, project_weights


def moved(params: Any, distance: float) -> Any:
    return jax.tree.map(lambda leaf: leaf + distance, params)


def test_by_hand(params: Any) -> None:
    # Every weight is 2 away from its start: 0.1 + 0.3 * 2 = 0.7, in every leaf.
    updates = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), params)
    tx = l2_init(0.3)
    got, _ = tx.update(updates, tx.init(params), moved(params, 2.0))
    for leaf in jax.tree.leaves(got):
        np.testing.assert_allclose(leaf, 0.7, rtol=1e-6)


def test_is_the_gradient_of_the_papers_loss_at_twice_its_strength(params: Any) -> None:
    def loss(weights: Any) -> jax.Array:  # section 3: lambda times the squared distance
        pairs = zip(jax.tree.leaves(weights), jax.tree.leaves(params), strict=True)
        return 0.15 * sum(jnp.sum((w - w_0) ** 2) for w, w_0 in pairs)

    tx = l2_init(2 * 0.15)
    weights = jax.tree.map(lambda leaf: 3.0 * leaf + 1.0, params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    got, _ = tx.update(zeros, tx.init(params), weights)
    want = jax.grad(loss)(weights)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-6), got, want)


def test_coupled_and_decoupled() -> None:
    # A distance of 2 and no gradient. Before the sign: the pull's size is lost, -0.1.
    # After it: -0.1 * 0.3 * 2.
    start, weights = jnp.zeros(1), jnp.full(1, 2.0)
    for order, want in (((0, 1), -0.1), ((1, 0), -0.06)):
        parts = (l2_init(0.3), optax.scale_by_sign())
        tx = optax.chain(*(parts[i] for i in order), optax.scale_by_learning_rate(0.1))
        got, _ = tx.update(jnp.zeros(1), tx.init(start), weights)
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_the_reference_is_a_copy_of_what_init_saw(params: Any) -> None:
    tx = l2_init(1.0)
    state, weights = tx.init(params), params
    for _ in range(3):
        weights = moved(weights, 1.0)
        updates, state = tx.update(
            jax.tree.map(jnp.zeros_like, weights), state, weights
        )
    np.testing.assert_allclose(updates["block"]["bias"], 3.0)
    kept = state.initial_weights
    jax.tree.map(np.testing.assert_array_equal, kept, params)
    pairs = zip(jax.tree.leaves(kept), jax.tree.leaves(params), strict=True)
    assert not any(a is b for a, b in pairs)


def test_mask(params: Any) -> None:
    tx = l2_init(0.5, mask=masks.matrices)
    state = tx.init(params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    got, _ = tx.update(zeros, state, moved(params, 2.0))
    np.testing.assert_array_equal(got["head"]["kernel"], 1.0)
    assert got["block"]["bias"] is zeros["block"]["bias"]
    assert len(jax.tree.leaves(state)) == 2


def test_default_leaves_integers_alone() -> None:
    params = {"w": jnp.ones(2), "count": jnp.zeros(2, jnp.int32)}
    tx = l2_init(0.5)
    got, _ = tx.update(params, tx.init(params), params)
    assert got["count"] is params["count"]
    with pytest.raises(ValueError, match=r'floating.*static_args=\("mask",\)'):
        optax.inject_hyperparams(l2_init)(0.1, mask=masks.floating).init(jnp.ones(2))


def test_half_precision() -> None:
    # The distance, 120000, is beyond float16.
    far, tx = jnp.full(1, 60000.0, jnp.float16), l2_init(1e-3)
    got, _ = tx.update(jnp.zeros(1, jnp.float16), tx.init(-far), far)
    assert got.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(got, np.float32), 120.0, rtol=1e-3)
    bf16 = jnp.ones(1, jnp.bfloat16)
    got, _ = tx.update(jnp.ones(1), tx.init(bf16), 3 * bf16)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, 1.002, rtol=1e-6)


def test_projection_leaves_the_pull_along_the_sphere() -> None:
    # Half-way round the unit circle's quarter, the pull turns the weights back; where
    # only their length has changed, projection undoes the rest.
    start = jnp.array([[1.0, 0.0]])
    weights = jnp.array([[0.6, 0.8]])
    tx = optax.chain(l2_init(0.5), optax.scale(-1.0), project_weights())
    state = tx.init(start)
    zeros = jnp.zeros_like(start)
    updates, state = tx.update(zeros, state, weights)
    new = weights + updates
    # (0.6, 0.8) + 0.5 * (0.4, -0.8) = (0.8, 0.4), at norm 1.
    np.testing.assert_allclose(new, [[2 / 5**0.5, 1 / 5**0.5]], rtol=1e-6)
    np.testing.assert_allclose(norms(new), 1.0, rtol=1e-6)
    updates, _ = tx.update(zeros, state, start)
    np.testing.assert_allclose(updates, 0.0, atol=1e-7)


def test_wrong_use(params: Any) -> None:
    for wrong in (-0.1, "a", optax.constant_schedule(0.1), jnp.ones(2)):
        with pytest.raises(ValueError, match=r"strength=.*: must be a number of 0 or"):
            l2_init(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask does not fit the parameters"):
        l2_init(0.1, mask={"block": True}).init(params)
    with pytest.warns(UserWarning, match="l2_init: the mask selects none"):
        l2_init(0.1, mask=jax.tree.map(lambda _: False, params)).init(params)
    with pytest.raises(ValueError, match="l2_init needs the parameters"):
        l2_init(0.1).update(params, l2_init(0.1).init(params))
