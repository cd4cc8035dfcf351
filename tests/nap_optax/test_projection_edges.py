"""Projection where a norm is zero, infinite, NaN or that of a single weight."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.projecting import KERNEL, UPDATE, normal, norms, project
from nap_optax import project_weights


def test_zero_leaf_warns_once_and_trains_freely() -> None:
    params = {"a": KERNEL, "zero": jnp.zeros((2, 2))}
    tx = project_weights()
    with pytest.warns(UserWarning, match="'zero' is zero in whole") as caught:
        state = tx.init(params)
    assert len(caught) == 1
    for scale in (1.0, 1e-4, 1e-8):
        change = {"a": UPDATE, "zero": scale * normal(1, 2, 2)}
        updates, state = tx.update(change, state, params)
        free = params["zero"] + change["zero"]
        params = jax.tree.map(jnp.add, params, updates)
        np.testing.assert_array_equal(params["zero"], free)
    assert norms(params["zero"]) > 1


def test_zero_leaf_under_jit_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = jax.jit(project_weights().init)(jnp.zeros((2, 2)))
    assert float(state.target_norm) == 0


def test_zero_leaf_with_a_radius_is_projected() -> None:
    zero = jnp.zeros((2, 2))
    # u has norm 10; held at 2, it is u / 5. Without an update there is no direction.
    np.testing.assert_allclose(
        project(zero, UPDATE * 2, 2.0), UPDATE * 2 / 5, rtol=1e-6
    )
    np.testing.assert_array_equal(project(zero, zero, 2.0), zero)


def test_zero_unit() -> None:
    params = jnp.array([[3.0, 0.0], [4.0, 0.0]])
    tx = project_weights(granularity="unit")
    with pytest.warns(UserWarning, match="in whole or in part"):
        state = tx.init(params)
    update = jnp.array([[3.0, 0.3], [4.0, 1e-9]])
    updates, _ = tx.update(update, state, params)
    np.testing.assert_allclose(updates[:, 0], 0, atol=1e-6)
    np.testing.assert_array_equal(updates[:, 1], update[:, 1])


def test_weights_that_land_on_zero() -> None:
    for every in (1, 2):
        for granularity in ("leaf", "unit"):
            tx = project_weights(granularity=granularity, every=every)
            updates, state = tx.update(-KERNEL, tx.init(KERNEL), KERNEL)
            np.testing.assert_allclose(updates, -KERNEL)
            # From zero, the next update gives the direction again.
            updates, _ = tx.update(UPDATE, state, jnp.zeros_like(KERNEL))
            np.testing.assert_allclose(updates, UPDATE, rtol=1e-6)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_updates_pass_through(bad: float, every: int) -> None:
    tx = project_weights(every=every)
    before = tx.init(KERNEL)
    update = UPDATE.at[0, 1].set(bad)
    updates, state = tx.update(update, before, KERNEL)
    if every == 1:
        np.testing.assert_array_equal(updates, update)
    np.testing.assert_array_equal(updates[0, 1], bad)
    np.testing.assert_array_equal(state.target_norm, before.target_norm)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_weights_stay_where_they_are(bad: float, every: int) -> None:
    tx = project_weights(every=every)
    weights = KERNEL.at[0, 1].set(bad)
    updates, state = tx.update(UPDATE, tx.init(KERNEL), weights)
    np.testing.assert_array_equal(updates.at[0, 1].set(0), UPDATE)
    np.testing.assert_array_equal(state.target_norm, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_apply_if_finite_rejects_bad_updates(bad: float) -> None:
    tx = optax.apply_if_finite(project_weights(), max_consecutive_errors=3)
    state = tx.init(KERNEL)
    updates, state = tx.update(UPDATE.at[0, 1].set(bad), state, KERNEL)
    np.testing.assert_array_equal(updates, jnp.zeros_like(KERNEL))
    assert int(state.total_notfinite) == 1
    updates, state = tx.update(UPDATE, state, KERNEL)
    np.testing.assert_allclose(norms(KERNEL + updates), 5, rtol=1e-6)


def test_multi_steps_with_a_zero_leaf() -> None:
    # The inner update runs on each micro-step, also on updates that are all zero.
    params = {"a": KERNEL, "zero": jnp.zeros((2, 2))}
    with jax.numpy_dtype_promotion("standard"):
        tx = optax.MultiSteps(project_weights(mask={"a": True, "zero": False}), 2)
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(params, state, params)
    np.testing.assert_allclose(updates["a"], 0, atol=1e-6)
    np.testing.assert_array_equal(updates["zero"], 0)


def test_an_infinite_norm_at_init_is_warned_of_and_never_projected_to() -> None:
    tx = project_weights()
    with pytest.warns(UserWarning, match="too small or large for a norm in float32"):
        state = tx.init(jnp.full((30, 30), 1e30))
    params = jnp.ones((30, 30))
    updates, _ = tx.update(0.1 * params, state, params)
    np.testing.assert_allclose(updates, 0.1 * params, rtol=1e-6)


def test_a_norm_of_a_single_weight_is_warned_of() -> None:
    params = {"first": {"kernel": jnp.ones((1, 3))}, "kernel": jnp.ones((2, 3))}
    with pytest.warns(match="in 'first/kernel' each norm is that of a single weight"):
        project_weights(granularity="unit").init(params)
    with pytest.warns(match="in 'gain' each norm is that of a single weight"):
        project_weights(mask=True).init({"gain": jnp.float32(2.0)})
