"""Scale decay."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nap_optax import decay_scales, masks


def test_by_hand(params: Any) -> None:
    # u + 0.5 s for the scale (1, 2) and u = 0.1: (0.6, 1.1). All else as it was.
    updates = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), params)
    tx = decay_scales(0.5)
    got, _ = tx.update(updates, tx.init(params), params)
    np.testing.assert_allclose(got["block"]["scale"], [0.6, 1.1], rtol=1e-6)
    for part, name in (("block", "kernel"), ("block", "bias"), ("head", "kernel")):
        assert got[part][name] is updates[part][name]


def test_equals_masked_weight_decay(params: Any) -> None:
    mask = masks.by_path([("block/.*", True), ("head/.*", False)])
    ours = decay_scales(0.3, mask=mask)
    theirs = optax.add_decayed_weights(0.3, mask)
    got, _ = ours.update(params, ours.init(params), params)
    want, _ = theirs.update(params, theirs.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_shrinks_by_the_learning_rate_times_the_decay(params: Any) -> None:
    # 100 updates of s <- s (1 - 0.1 * 0.5): 0.95 ** 100.
    tx = optax.chain(decay_scales(0.5), optax.scale_by_learning_rate(0.1))
    state, zeros = tx.init(params), jax.tree.map(jnp.zeros_like, params)

    def step(_: Any, params: Any) -> Any:
        updates, _ = tx.update(zeros, state, params)
        return jax.tree.map(jnp.add, params, updates)

    end = jax.lax.fori_loop(0, 100, step, params)
    np.testing.assert_allclose(
        end["block"]["scale"], params["block"]["scale"] * 0.95**100, rtol=1e-4
    )
    np.testing.assert_array_equal(end["head"]["kernel"], params["head"]["kernel"])


def test_an_array_for_a_decay_does_not_widen_updates() -> None:
    params = {"scale": jnp.ones(2, jnp.bfloat16)}
    for decay in (jnp.float32(0.5), np.float64(0.5)):
        tx = decay_scales(decay)
        updates, _ = tx.update(params, tx.init(params), params)
        assert updates["scale"].dtype == jnp.bfloat16
        np.testing.assert_array_equal(updates["scale"], 1.5)


def test_mixed_dtypes_keep_that_of_the_updates() -> None:
    params = {"scale": jnp.full(2, 3.0, jnp.bfloat16)}
    grads = {"scale": jnp.ones(2, jnp.float32)}
    tx = decay_scales(0.5)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates["scale"].dtype == jnp.float32
    np.testing.assert_array_equal(updates["scale"], 2.5)


def test_a_scale_without_a_gradient(params: Any) -> None:
    updates = params | {"block": params["block"] | {"scale": None}}
    tx = decay_scales(0.5)
    got, _ = tx.update(updates, tx.init(params), params)
    assert got["block"]["scale"] is None


def test_no_decay_needs_no_scales() -> None:
    params = {"kernel": jnp.ones((2, 2))}
    tx = decay_scales(0.0)
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_array_equal(updates["kernel"], 1)


def test_wrong_use(params: Any) -> None:
    with pytest.raises(ValueError, match=r"decay=-0\.1: must be a number of 0"):
        decay_scales(-0.1)
    with pytest.raises(ValueError, match=r"decay=Array.*: must be a number of 0"):
        decay_scales(jnp.float32(-1.0))
    with pytest.raises(ValueError, match="must be a number; for a schedule"):
        decay_scales(optax.constant_schedule(0.1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no leaf is a normalisation scale, so decay"):
        decay_scales(0.1).init({"kernel": jnp.ones((2, 2))})
    with pytest.raises(ValueError, match="mask does not fit the parameters"):
        decay_scales(0.1, mask={"block": True}).init(params)
    tx = decay_scales(0.1)
    with pytest.raises(ValueError, match="decay_scales needs the parameters"):
        tx.update(params, tx.init(params))


def test_decay_may_follow_a_schedule(params: Any) -> None:
    tx = optax.inject_hyperparams(decay_scales, static_args=("mask",))(
        decay=lambda count: 0.5 * jnp.asarray(count, float)
    )
    state, zeros = tx.init(params), jax.tree.map(jnp.zeros_like, params)
    for want in (0.0, 0.5, 1.0):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = tx.update(zeros, state, params)
        np.testing.assert_allclose(updates["block"]["scale"], [want, 2 * want])
    with pytest.raises(ValueError, match=r'static_args=\("mask",\)'):
        optax.inject_hyperparams(decay_scales)(0.1, mask=masks.scales).init(params)


def test_a_decay_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="decay='a': must be a number"):
        decay_scales("a")  # type: ignore[arg-type]
