"""The limit on effective learning rates."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.projecting import norms
from nap_optax import limit_elr, masks, measure_elr, project_weights


def limit(params: Any, updates: Any, *args: Any, **settings: Any) -> Any:
    tx = limit_elr(*args, **settings)
    return tx.update(updates, tx.init(params), params)[0]


def test_by_hand() -> None:
    # Norms 5 and 10, updates of 2 and 0.5: a tenth of the norm is 0.5 and 1.
    params = {"a": jnp.array([[3.0, 4.0]]), "b": jnp.array([[6.0], [8.0]])}
    updates = {"a": jnp.array([[0.0, 2.0]]), "b": jnp.array([[0.3], [0.4]])}
    got = limit(params, updates, 0.1)
    np.testing.assert_allclose(got["a"], [[0.0, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(got["b"], updates["b"])


def test_the_measured_rate_is_the_limit_at_most() -> None:
    random = np.random.default_rng(0)
    params = {name: jnp.asarray(random.normal(size=(8, 4))) for name in "abcd"}
    updates = {
        name: jnp.asarray(size * random.normal(size=(8, 4)))
        for name, size in zip("abcd", (1e-3, 1e-2, 1.0, 1e6), strict=True)
    }
    tx = optax.chain(limit_elr(0.05), measure_elr())
    _, state = tx.update(updates, tx.init(params), params)
    measured = optax.tree.get(state, "relative_update")
    free = optax.chain(measure_elr())
    _, state = free.update(updates, free.init(params), params)
    before = optax.tree.get(state, "relative_update")
    for name in "abcd":
        expected = min(float(before[name]), 0.05)
        assert float(measured[name]) == pytest.approx(expected, rel=1e-5)


def test_only_what_the_mask_selects() -> None:
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    updates = jax.tree.map(lambda leaf: 3 * leaf, params)
    got = limit(params, updates, 0.5)
    np.testing.assert_allclose(got["kernel"], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(got["bias"], 3.0)
    got = limit(
        params, updates, 0.5, mask=masks.by_path([("bias", True), (".*", False)])
    )
    np.testing.assert_array_equal(got["kernel"], 3.0)
    np.testing.assert_allclose(got["bias"], 0.5, rtol=1e-6)


def test_without_a_norm_updates_pass() -> None:
    params = {"zero": jnp.zeros((1, 2)), "w": jnp.ones((1, 2))}
    for size in (0.0, 2.0, np.inf, np.nan):
        updates = jax.tree.map(lambda leaf, s=size: jnp.full_like(leaf, s), params)
        got = limit(params, updates, 0.1)
        np.testing.assert_array_equal(got["zero"], updates["zero"])
        if size != 2.0:
            np.testing.assert_array_equal(got["w"], updates["w"])


def test_the_largest_updates_are_limited_too() -> None:
    params = jnp.ones((2, 2))  # of norm 2
    for size in (1e10, 1e20, 1e30):  # the squares of two of them overflow float32
        np.testing.assert_allclose(limit(params, jnp.full((2, 2), size), 0.5), 0.5)


def test_a_traced_limit_of_zero_stops_everything() -> None:
    params = jnp.ones((2, 2))
    got = jax.jit(lambda c: limit(params, 5 * params, c))(0.0)
    np.testing.assert_array_equal(got, 0.0)


def test_half_precision() -> None:
    # Squares of 300 overflow float16; the norm must not.
    params = jnp.full((1, 4), 300.0, jnp.float16)
    got = limit(params, jnp.full((1, 4), 300.0, jnp.float16), 0.5)
    assert got.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(got, np.float32), 150.0, rtol=2e-3)


def test_before_the_projection_norms_are_held() -> None:
    params = jnp.asarray(np.random.default_rng(1).normal(size=(4, 4)), jnp.float32)
    tx = optax.chain(limit_elr(0.1), project_weights())
    updates, _ = tx.update(100 * params[::-1], tx.init(params), params)
    np.testing.assert_allclose(
        norms(optax.apply_updates(params, updates)), norms(params), rtol=1e-6
    )
    assert jnp.linalg.norm(updates) <= 0.1001 * jnp.linalg.norm(params)


def test_mistakes() -> None:
    for wrong in (0, -1.0, "1", None):
        with pytest.raises(ValueError, match=r"max_elr=.*: must be a positive number"):
            limit_elr(wrong)  # type: ignore[arg-type]
    tx = limit_elr(0.1)
    with pytest.raises(ValueError, match="limit_elr"):
        tx.update(jnp.ones((2, 2)), tx.init(jnp.ones((2, 2))))
    with pytest.warns(match="limit_elr: the mask selects none of the leaves"):
        limit_elr(0.1, mask=masks.scales).init({"kernel": jnp.ones((2, 2))})
