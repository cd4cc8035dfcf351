"""Hyperball: weights and updates of fixed norm."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nap_optax import hyperball, masks


def step(tx: Any, updates: Any, params: Any) -> Any:
    updates, state = tx.update(updates, tx.init(params), params)
    return jax.tree.map(jnp.add, params, updates), state


def test_by_hand(params: Any) -> None:
    # The kernel (3, 0; 0, 4) has R = 5. Its update (0, 6; 8, 0) has norm 10, so at a
    # rate of 0.75 the weights become (3, -2.25; -3, 4): of norm 6.25, back to 5.
    grads = jax.tree.map(jnp.ones_like, params)
    grads["block"]["kernel"] = jnp.array([[0.0, 6.0], [8.0, 0.0]])
    new, state = step(hyperball(optax.identity(), 0.75), grads, params)
    want = 0.8 * np.array([[3.0, -2.25], [-3.0, 4.0]])
    np.testing.assert_allclose(new["block"]["kernel"], want, rtol=1e-6)
    # The others descend by the rate.
    np.testing.assert_allclose(new["block"]["bias"], [-0.25, -1.25], rtol=1e-6)
    np.testing.assert_allclose(new["block"]["scale"], [0.25, 1.25], rtol=1e-6)
    assert optax.tree.get(state, "last_learning_rate") == 0.75
    assert optax.tree.get(state, "target_norm")["block"]["kernel"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("inner", [optax.identity(), optax.scale_by_adam()])
def test_many_steps(inner: Any) -> None:
    """Neither norm drifts, and the size of gradients plays no part."""
    params = {"w": jax.random.normal(jax.random.key(0), (8, 8))}
    target = jax.random.normal(jax.random.key(1), (8, 8))
    radius = float(jnp.linalg.norm(params["w"]))

    def train(scale: float) -> Any:
        tx = hyperball(inner, optax.constant_schedule(0.1))

        def one(carry: Any, _: Any) -> Any:
            params, state = carry
            grads = {"w": scale * (params["w"] - target)}
            with jax.numpy_dtype_promotion("standard"):
                updates, state = tx.update(grads, state, params)
            new = jax.tree.map(jnp.add, params, updates)
            norms = jnp.linalg.norm(new["w"]), jnp.linalg.norm(updates["w"])
            return (new, state), norms

        return jax.lax.scan(one, (params, tx.init(params)), length=200)

    ((end, _), (weights, changes)), ((same, _), _) = train(1.0), train(4.0)
    np.testing.assert_allclose(weights, radius, rtol=1e-5)
    # A step of 0.1 R turns the weights by an angle of at most arcsin(0.1).
    assert np.max(changes) < 2 * np.sin(np.arcsin(0.1) / 2) * radius * 1.00001
    np.testing.assert_allclose(end["w"], same["w"], atol=5e-3)
    cosine = jnp.vdot(end["w"], target) / radius / jnp.linalg.norm(target)
    assert cosine > 0.98


def test_a_zero_update_leaves_the_weights(params: Any) -> None:
    zeros = jax.tree.map(jnp.zeros_like, params)
    new, _ = step(hyperball(optax.identity(), 0.1), zeros, params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), new, params)


def test_a_leaf_that_is_zero_at_init_descends_as_if_not_selected() -> None:
    params = {"zero": jnp.zeros((2, 2)), "w": jnp.ones((2, 2))}
    grads = {"zero": jnp.ones((2, 2)), "w": jnp.ones((2, 2))}
    tx = hyperball(optax.identity(), 0.1)
    with pytest.warns(UserWarning, match="'zero' is zero"):
        state = tx.init(params)
    for i in (1, 2):
        updates, state = tx.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        np.testing.assert_allclose(params["zero"], -0.1 * i, rtol=1e-6)


def test_a_failed_update_reaches_apply_if_finite(params: Any) -> None:
    grads = jax.tree.map(jnp.ones_like, params)
    grads["block"]["kernel"] = jnp.full((2, 2), jnp.nan)
    tx = optax.apply_if_finite(hyperball(optax.identity(), 0.1), 3)
    updates, state = tx.update(grads, tx.init(params), params)
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(updates))
    assert state.notfinite_count == 1


def test_mask_and_schedule_and_rewarming(params: Any) -> None:
    mask = masks.by_path([("head/.*", True), (".*", False)])
    tx = hyperball(optax.identity(), optax.exponential_decay(0.5, 1, 0.5), mask=mask)
    state, grads = tx.init(params), jax.tree.map(jnp.ones_like, params)
    for rewarm, rate in ((False, 0.5), (False, 0.25), (True, 0.5), (False, 0.25)):
        updates, state = tx.update(grads, state, params, rewarm=rewarm)
        np.testing.assert_allclose(updates["block"]["kernel"], -rate, rtol=1e-6)
        new = params["head"]["kernel"] + updates["head"]["kernel"]
        np.testing.assert_allclose(jnp.linalg.norm(new), 2, rtol=1e-6)
    assert optax.tree.get(state, "num_rewarms") == 1


def test_an_alias_for_inner_would_ascend(params: Any) -> None:
    """Documented: nothing can notice it."""
    grads = jax.tree.map(jnp.ones_like, params)
    down, _ = step(hyperball(optax.identity(), 0.1), grads, params)
    up, _ = step(hyperball(optax.sgd(1.0), 0.1), grads, params)
    assert jnp.sum(down["head"]["kernel"]) < jnp.sum(params["head"]["kernel"])
    assert jnp.sum(up["head"]["kernel"]) > jnp.sum(params["head"]["kernel"])
