"""Hyperball: weights and updates of fixed norm."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nap_optax import every, hyperball, masks


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
    with pytest.warns(UserWarning, match="hyperball: 'zero' is zero"):
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


def test_a_detector_starts_the_schedule_again(params: Any) -> None:
    halving = optax.exponential_decay(0.5, 1, 0.5)
    tx = hyperball(optax.identity(), halving, detector=every(2))
    state, grads = tx.init(params), jax.tree.map(jnp.ones_like, params)
    rates = []
    for _ in range(4):
        _, state = tx.update(grads, state, params)
        rates.append(float(optax.tree.get(state, "last_learning_rate")))
    assert rates == [0.5, 0.25, 0.5, 0.25]
    assert optax.tree.get(state, "num_rewarms") == 1
    with pytest.raises(ValueError, match="re-warming a constant changes nothing"):
        hyperball(optax.identity(), 0.1, detector=every(2))


def test_an_alias_for_inner_would_ascend(params: Any) -> None:
    grads = jax.tree.map(jnp.ones_like, params)
    down, _ = step(hyperball(optax.identity(), 0.1), grads, params)
    with pytest.warns(UserWarning, match="hyperball: inner negates gradients"):
        up, _ = step(hyperball(optax.sgd(1.0), 0.1), grads, params)
    assert jnp.sum(down["head"]["kernel"]) < jnp.sum(params["head"]["kernel"])
    assert jnp.sum(up["head"]["kernel"]) > jnp.sum(params["head"]["kernel"])


def test_a_number_as_the_radius_holds_a_leaf_that_is_zero_at_init() -> None:
    """As the warning of such a leaf advises."""
    params = {"w": jnp.zeros((2, 2))}
    new, state = step(
        hyperball(optax.identity(), 0.1, radius=2.0), {"w": jnp.eye(2)}, params
    )
    np.testing.assert_allclose(new["w"], -np.sqrt(2) * np.eye(2), rtol=1e-6)
    assert optax.tree.get(state, "target_norm")["w"] == 2


def test_a_radius_that_changes_is_that_of_updates_too() -> None:
    tx = optax.inject_hyperparams(
        hyperball, static_args=("inner", "mask", "every", "granularity", "groups")
    )(optax.identity(), 0.75, radius=optax.exponential_decay(4.0, 1, 0.5))
    params = jnp.array([[4.0, 0.0]])
    state = tx.init(params)
    for radius in (4.0, 2.0):
        updates, state = tx.update(jnp.array([[0.0, -0.1]]), state, params)
        moved = params + jnp.array([[0.0, 0.75 * radius]])
        want = radius * moved / jnp.linalg.norm(moved)
        np.testing.assert_allclose(params + updates, want, rtol=1e-6)


def test_units_by_hand() -> None:
    # Units are columns, of norms 5 and 2; updates of norms 10 and 0.1 get the same.
    params = jnp.array([[3.0, 0.0], [4.0, 2.0]])
    grads = jnp.array([[-8.0, 0.1], [6.0, 0.0]])
    new, _ = step(hyperball(optax.identity(), 0.75, granularity="unit"), grads, params)
    # (3, 4) + 0.75 (4, -3), which is at a right angle, and so on.
    want = 0.8 * np.array([[3.0 + 3.0, -1.5], [4.0 - 2.25, 2.0]])
    np.testing.assert_allclose(new, want, rtol=1e-6)


def test_groups_by_hand() -> None:
    # A joint norm of 5, and 10 of the updates.
    params = {"a": jnp.array([[3.0]]), "b": jnp.array([[0.0, 4.0]])}
    grads = {"a": jnp.array([[-8.0]]), "b": jnp.array([[0.0, 6.0]])}
    tx = hyperball(optax.identity(), 0.75, groups={"a": "g", "b": "g"})
    new, state = step(tx, grads, params)
    np.testing.assert_allclose(new["a"], [[0.8 * (3 + 3)]], rtol=1e-6)
    np.testing.assert_allclose(new["b"], [[0, 0.8 * (4 - 2.25)]], rtol=1e-6)
    assert optax.tree.get(state, "target_norm")["a"] == 5


def test_a_member_of_a_group_without_gradient_is_refused() -> None:
    params = {"a": jnp.ones((1, 1)), "b": jnp.ones((1, 2))}
    tx = hyperball(optax.identity(), 0.1, groups={"a": "g", "b": "g"})
    with pytest.raises(ValueError, match="a member has None for its update"):
        tx.update({"a": None, "b": jnp.ones((1, 2))}, tx.init(params), params)


def test_every_second_update_restores_the_weights_and_all_are_of_the_norm() -> None:
    params = jnp.array([[4.0, 0.0]])
    tx = hyperball(optax.identity(), 0.75, every=2)
    state, grads = tx.init(params), jnp.array([[0.0, -0.1]])
    for want in ([[4.0, 3.0]], [[4.0, 6.0]], [[16 / 52**0.5, 24 / 52**0.5 + 3]]):
        updates, state = tx.update(grads, state, params)
        params = params + updates
        np.testing.assert_allclose(params, want, rtol=1e-6)


def orthogonalized(matrix: Any) -> Any:
    """Muon's five steps of Newton and Schulz, as published (Jordan et al., 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / np.linalg.norm(x)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


@pytest.mark.slow
def test_over_muon_it_is_muon_h() -> None:
    """The published rule written out: R Norm(W - rate R Norm(Muon(g)))."""
    rate, beta = 0.1, 0.9
    draw = np.random.default_rng(0).normal
    weights = draw(size=(6, 4))
    radius = np.linalg.norm(weights)
    momentum = np.zeros((6, 4))
    params = jnp.asarray(weights, jnp.float32)
    tx = hyperball(optax.contrib.scale_by_muon(beta=beta, nesterov=False), rate)
    state = tx.init(params)
    for _ in range(5):
        grad = draw(size=(6, 4))
        momentum = beta * momentum + grad
        direction = orthogonalized(momentum)
        moved = weights - rate * radius * direction / np.linalg.norm(direction)
        weights = radius * moved / np.linalg.norm(moved)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = tx.update(jnp.asarray(grad, jnp.float32), state, params)
        params = params + updates
        np.testing.assert_allclose(params, weights, rtol=1e-4, atol=1e-5)
