"""Effective learning rates: measured, nominal and held."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nap_optax import (
    effective_learning_rate,
    hold_elr,
    masks,
    measure_elr,
    nominal_effective_learning_rate,
    project_weights,
)

NOTHING = masks.by_path([(".*", False)])


def hold(tx: Any, updates: Any, params: Any, init_params: Any) -> Any:
    return tx.update(updates, tx.init(init_params), params)[0]


# Measured.


def test_relative_update_by_hand(params: Any) -> None:
    # Norms of the updates: 0.1 sqrt(4), 0.1 sqrt(2), 0.1 sqrt(2) and 0.1 sqrt(2).
    updates = jax.tree.map(lambda leaf: jnp.full_like(leaf, -0.1), params)
    got = effective_learning_rate(updates, params)
    root = np.sqrt(2)
    np.testing.assert_allclose(got["block"]["kernel"], 0.2 / 5, rtol=1e-6)
    np.testing.assert_allclose(got["block"]["bias"], 0.1 * root / root * 2, rtol=1e-6)
    np.testing.assert_allclose(got["block"]["scale"], 0.1 * root / np.sqrt(5), 1e-6)
    np.testing.assert_allclose(got["head"]["kernel"], 0.1 * root / 2, rtol=1e-6)


def test_relative_update_where_there_is_none() -> None:
    params = {"zero": jnp.zeros(3), "frozen": None, "w": jnp.ones(3)}
    updates = {"zero": jnp.ones(3), "frozen": None, "w": None}
    got = effective_learning_rate(updates, params)
    assert got["frozen"] is None
    assert (got["zero"], got["w"]) == (0, 0)


def test_a_failed_update_is_not_measured_as_a_small_one() -> None:
    got = effective_learning_rate(jnp.array([jnp.nan, 1.0]), jnp.ones(2))
    assert np.isnan(got)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_norms_in_float32(dtype: Any) -> None:
    # The squares of both would leave float16's range.
    updates, params = jnp.full(4, 1e-4, dtype), jnp.full(4, 1e3, dtype)
    got = effective_learning_rate(updates, params)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, 1e-7, rtol=1e-2)


def test_the_state_keeps_its_dtype_whatever_the_updates() -> None:
    params = jnp.ones(2, jnp.bfloat16)
    tx = measure_elr()
    for dtype in (jnp.float16, jnp.float32):
        updates = jnp.ones(2, dtype)
        same, state = tx.update(updates, tx.init(params), params)
        assert same is updates
        assert state.relative_update.dtype == jnp.float32


def test_measure_elr_sees_what_the_projection_left(params: Any) -> None:
    # (3, 0; 0, 4) plus (0, 1; 0, 0): back on the sphere of radius 5 at an angle of
    # arctan(1/5), so a chord of 2 sin(arctan(1/5) / 2) of the radius.
    tx = optax.chain(project_weights(), measure_elr())
    updates = jax.tree.map(jnp.zeros_like, params)
    updates["block"]["kernel"] = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    _, state = tx.update(updates, tx.init(params), params)
    measured = optax.tree.get(state, "relative_update")
    assert jax.tree.structure(measured) == jax.tree.structure(params)
    want = 2 * np.sin(np.arctan(1 / 5) / 2)
    np.testing.assert_allclose(measured["block"]["kernel"], want, rtol=1e-5)
    assert measured["head"]["kernel"] == 0


@pytest.mark.skipif(not hasattr(optax, "monitor"), reason="optax before 0.2.7")
def test_fits_optax_monitor(params: Any) -> None:
    tx = optax.chain(
        optax.scale(0.5),
        optax.monitor({"elr": optax.stateless(effective_learning_rate)}),
    )
    _, state = tx.update(params, tx.init(params), params)
    for leaf in jax.tree.leaves(optax.tree.get(state, "elr")):
        np.testing.assert_allclose(leaf, 0.5, rtol=1e-6)


# Nominal.


def test_nominal_by_hand(params: Any) -> None:
    for power, want in ((1, 0.02), (2, 0.004), (0, 0.1)):
        got = nominal_effective_learning_rate(0.1, params, power=power)
        np.testing.assert_allclose(got["block"]["kernel"], want, rtol=1e-6)
    assert nominal_effective_learning_rate(0.1, jnp.zeros(2)) == 0
    traced = jax.jit(
        lambda rate, power: nominal_effective_learning_rate(rate, params, power=power)
    )(0.1, 2.0)
    np.testing.assert_allclose(traced["head"]["kernel"], 0.025, rtol=1e-6)


# Held.


def test_hold_elr_by_hand(params: Any) -> None:
    # The kernel's norm has grown from 5 to 10, the head's has shrunk from 2 to 1.
    updates = jax.tree.map(jnp.ones_like, params)
    later = jax.tree.map(lambda leaf: 2 * leaf, params)
    later["head"]["kernel"] = params["head"]["kernel"] / 2
    for power, grown, shrunk in ((1, 2, 0.5), (2, 4, 0.25), (0, 1, 1)):
        got = hold(hold_elr(power), updates, later, params)
        np.testing.assert_allclose(got["block"]["kernel"], grown, rtol=1e-6)
        np.testing.assert_allclose(got["head"]["kernel"], shrunk, rtol=1e-6)
        assert got["block"]["bias"] is updates["block"]["bias"]
        assert got["block"]["scale"] is updates["block"]["scale"]


def test_hold_elr_holds_what_the_mask_selects(params: Any) -> None:
    mask = {"block": {"kernel": False, "bias": True, "scale": False}, "head": False}
    tx = hold_elr(mask=mask)
    got = hold(tx, params, jax.tree.map(lambda leaf: 3 * leaf, params), params)
    np.testing.assert_allclose(got["block"]["bias"], [1.5, -1.5], rtol=1e-6)
    assert got["block"]["kernel"] is params["block"]["kernel"]
    # No leaf at all is a mask too.
    with pytest.raises(ValueError, match="mask=False: it would select nothing"):
        hold_elr(mask=False).init(params)
    with pytest.warns(match="hold_elr: the mask selects none of the leaves"):
        assert jax.tree.leaves(hold_elr(mask=NOTHING).init(params)) == []


def test_before_or_after_the_learning_rate_is_the_same(params: Any) -> None:
    later = jax.tree.map(lambda leaf: 3 * leaf, params)
    rate = optax.scale_by_learning_rate(0.1)
    before, after = (
        hold(optax.chain(*parts), params, later, params)
        for parts in ((hold_elr(2), rate), (rate, hold_elr(2)))
    )
    for b, a in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_hold_elr_without_a_norm() -> None:
    ones, zeros = jnp.ones((2, 2)), jnp.zeros((2, 2))
    tx = hold_elr(2)
    # Zero now, or not finite: the factor is 1, and the reference stays.
    for now in (zeros, jnp.full((2, 2), jnp.nan), jnp.full((2, 2), jnp.inf)):
        updates, state = tx.update(ones, tx.init(3 * ones), now)
        np.testing.assert_array_equal(updates, 1)
        np.testing.assert_allclose(state.reference_norm, 6, rtol=1e-6)
    # Zero at init: a warning, and the updates stay as they are for good.
    with pytest.warns(UserWarning, match="hold_elr: 'head': zero at init"):
        state = tx.init({"head": zeros, "body": ones})
    updates, _ = tx.update(
        {"head": ones, "body": ones}, state, {"head": 5 * ones, "body": 5 * ones}
    )
    np.testing.assert_array_equal(updates["head"], 1)
    np.testing.assert_allclose(updates["body"], 25, rtol=1e-6)


def test_factors_out_of_the_range_of_float16() -> None:
    # 1e3 squared is out of range, its product with the update is not.
    weights = jnp.full((2, 2), 0.1, jnp.float16)
    updates = jnp.full((2, 2), 1e-3, jnp.float16)
    got = hold(hold_elr(2), updates, weights * 1000, weights)
    assert got.dtype == jnp.float16
    np.testing.assert_allclose(got, 1e3, rtol=1e-2)


def test_wrong_use(params: Any) -> None:
    with pytest.raises(ValueError, match=r"power=-1: must be a number of 0 or more"):
        hold_elr(-1)
    with pytest.raises(ValueError, match=r"power='2': must be a number"):
        hold_elr("2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask does not fit the parameters"):
        hold_elr(mask={"block": True}).init(params)
    with pytest.raises(ValueError, match=r"power=nan: must be a number of 0"):
        nominal_effective_learning_rate(0.1, params, power=float("nan"))
    with pytest.raises(ValueError, match=r"learning_rate=None: must be a number"):
        nominal_effective_learning_rate(None, params)  # type: ignore[arg-type]


@pytest.mark.parametrize("measure", ["effective", "nominal"])
def test_rates_have_finite_derivatives_where_all_is_zero(measure: str) -> None:
    def total(scale: jax.Array) -> jax.Array:
        params = {"w": scale * jnp.zeros((2, 2))}
        if measure == "effective":
            rates = effective_learning_rate(params, params)
        else:
            rates = nominal_effective_learning_rate(scale, params)
        return rates["w"]

    assert jax.grad(total)(1.0) == 0
    assert jax.jvp(total, (1.0,), (1.0,))[1] == 0
