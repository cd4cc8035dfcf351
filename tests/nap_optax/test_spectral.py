"""Spectral regularization, against the exact gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.projecting import norms
from nap_optax import masks, project_weights, spectral_regularization


def penalty(params: Any, num_updates: int = 100, **kwargs: Any) -> Any:
    """What is added to updates of zero once the power iteration has settled."""
    tx = spectral_regularization(**kwargs)
    zeros = jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def settle(state: Any) -> Any:
        def step(state: Any, _: Any) -> Any:
            updates, state = tx.update(zeros, state, params)
            return state, updates

        state, updates = jax.lax.scan(step, state, length=num_updates)
        return jax.tree.map(lambda leaf: leaf[-1], updates), state

    return settle(tx.init(params))


def with_singular_values(values: Any, *shape: int) -> jax.Array:
    """A matrix of these singular values, with random singular vectors."""
    draw = np.random.default_rng(0).normal
    left, right = (np.linalg.qr(draw(size=(n, len(values))))[0] for n in shape)
    return jnp.asarray(left @ np.diag(values) @ right.T, jnp.float32)


def test_by_hand() -> None:
    # sigma = 2 along (0, 1): 2 * 0.1 * 2 * (2**2 - 1) * 2 = 2.4, nothing elsewhere.
    params = {"kernel": jnp.diag(jnp.array([0.5, 2.0])), "bias": jnp.ones(2)}
    got, state = penalty(params, strength=0.1)
    np.testing.assert_allclose(got["kernel"], [[0, 0], [0, 2.4]], atol=1e-5)
    np.testing.assert_array_equal(got["bias"], 0.0)
    vector = state.singular_vector["kernel"]
    np.testing.assert_allclose(np.abs(vector), [0, 1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [1, 2, 3.5])
@pytest.mark.parametrize("top", [3.0, 0.5])
def test_equals_the_exact_gradient(exponent: float, top: float) -> None:
    params = with_singular_values([top, 0.4, 0.1], 6, 4)

    def exact(weights: jax.Array) -> jax.Array:
        sigma = jnp.linalg.svd(weights, compute_uv=False)[0]
        return 0.2 * (sigma**exponent - 1) ** 2

    got, _ = penalty(params, strength=0.2, exponent=exponent)
    np.testing.assert_allclose(got, jax.grad(exact)(params), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_more_axes_are_a_matrix_to_the_last() -> None:
    flat = with_singular_values([3.0, 1.0], 12, 5)
    kernel = flat.reshape(2, 3, 2, 5)
    got, state = penalty(kernel, strength=0.1)
    want, _ = penalty(flat, strength=0.1)
    np.testing.assert_allclose(got.reshape(12, 5), want, atol=1e-5)
    assert state.singular_vector.shape == (2, 3, 2)


def test_complex_weights() -> None:
    draw = np.random.default_rng(1).normal
    weights = jnp.asarray(draw(size=(4, 3)) + 1j * draw(size=(4, 3)), jnp.complex64)
    left, sigmas, right = np.linalg.svd(np.asarray(weights))
    got, _ = penalty(weights, strength=0.1, exponent=1)
    want = 0.2 * (sigmas[0] - 1) * np.outer(left[:, 0], right[0])
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("kind", ["centred columns", "constant", "identity", "one row"])
def test_the_start_is_not_orthogonal_to_the_top_vector(kind: str) -> None:
    # Four rows of whole numbers: also times 1/2 their sums are zero to the bit.
    half = jnp.asarray(np.random.default_rng(0).integers(-4, 5, (2, 8)), jnp.float32)
    weights = {
        "centred columns": jnp.concatenate([half, -half]),
        "constant": jnp.ones((8, 8)),
        "identity": 2 * jnp.eye(8),
        "one row": jnp.zeros((8, 8)).at[5].set(1.0),
    }[kind]
    sigma = float(np.linalg.norm(np.asarray(weights), 2))
    got, _ = penalty(weights, 300, strength=1.0, exponent=1)
    np.testing.assert_allclose(norms(got), 2 * (sigma - 1), rtol=1e-3)


def test_one_iteration_for_each_update() -> None:
    # From a: b = W'a / |W'a|, then sigma = |W b|. With W = diag(2, 1) and a = (0.6,
    # 0.8): W'a = (1.2, 0.8), and W b = (2.4, 0.8) / |(1.2, 0.8)|.
    params, tx = jnp.diag(jnp.array([2.0, 1.0])), spectral_regularization(1.0, 1)
    state = tx.init(params)._replace(singular_vector=jnp.array([0.6, 0.8]))
    got, state = tx.update(jnp.zeros((2, 2)), state, params)
    image = np.array([2.4, 0.8])
    sigma = np.linalg.norm(image) / np.linalg.norm([1.2, 0.8])
    a, b = image / np.linalg.norm(image), np.array([1.2, 0.8]) / 2.08**0.5
    np.testing.assert_allclose(state.singular_vector, a, rtol=1e-6)
    np.testing.assert_allclose(got, 2 * (sigma - 1) * np.outer(a, b), rtol=1e-5)


@pytest.mark.parametrize("weights", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("exponent", [1, 2])
def test_no_usable_singular_value(weights: float, exponent: int) -> None:
    params, tx = jnp.full((2, 3), weights), spectral_regularization(1.0, exponent)
    before = tx.init(params)
    got, after = tx.update(jnp.ones((2, 3)), before, params)
    np.testing.assert_array_equal(got, 1.0)
    np.testing.assert_array_equal(after.singular_vector, before.singular_vector)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_matrix(shape: Any) -> None:
    got, state = penalty(jnp.zeros(shape), 1, strength=1.0)
    assert got.shape == shape
    assert state.singular_vector.shape == shape[:1]
    np.testing.assert_allclose(norms(state.singular_vector), shape[0] > 0, rtol=1e-6)


def test_gradient_descent_brings_it_to_one() -> None:
    params = with_singular_values([3.0, 0.4, 0.1], 6, 4)
    tx = optax.chain(spectral_regularization(1.0, 1), optax.sgd(0.1))

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        updates, state = tx.update(jnp.zeros_like(params), state, params)
        return (params + updates, state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=100)
    sigmas = np.linalg.svd(np.asarray(params), compute_uv=False)
    np.testing.assert_allclose(sigmas, [1.0, 0.4, 0.1, 0.0], atol=0.02)


def test_projection_evens_out_the_spectrum() -> None:
    # A radius of 3 and two singular values: at best, both are 3 / sqrt(2).
    params = jnp.diag(jnp.array([2.9, (9 - 2.9**2) ** 0.5]))
    tx = optax.chain(spectral_regularization(0.1), optax.sgd(0.02), project_weights())

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        updates, state = tx.update(jnp.zeros_like(params), state, params)
        return (params + updates, state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=1000)
    sigmas = np.linalg.svd(np.asarray(params), compute_uv=False)
    np.testing.assert_allclose(norms(params), 3.0, rtol=1e-6)
    np.testing.assert_allclose(sigmas, 3 / 2**0.5, rtol=0.1)  # it swings


@pytest.mark.slow
def test_exponent_may_follow_a_schedule() -> None:
    tx = optax.inject_hyperparams(spectral_regularization, static_args=("mask",))(
        strength=lambda count: 0.5 * jnp.asarray(count, float)
    )
    params = 3 * jnp.eye(2)
    state = tx.init(params)
    sizes = []
    for _ in range(3):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = tx.update(jnp.zeros((2, 2)), state, params)
        sizes.append(norms(updates))
    # sigma = 3 in every direction: 2 * 2 * 8 * 3 times the strength.
    np.testing.assert_allclose(sizes, [0.0, 48.0, 96.0], rtol=1e-5)


def test_wrong_use(params: Any) -> None:
    for wrong in (-0.1, "a", jnp.ones(2)):
        with pytest.raises(ValueError, match=r"strength=.*: must be a number of 0 or"):
            spectral_regularization(wrong)  # type: ignore[arg-type]
    for wrong in (0.5, "a", jnp.ones(2)):
        with pytest.raises(ValueError, match=r"exponent=.*: must be a number of 1 or"):
            spectral_regularization(0.1, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'block/bias' has fewer than two dimensions"):
        spectral_regularization(0.1, mask=True).init(params)
    tx = spectral_regularization(0.1)
    with pytest.raises(ValueError, match="spectral_regularization needs the param"):
        tx.update(params, tx.init(params))
    tx = optax.inject_hyperparams(spectral_regularization)(0.1, mask=masks.matrices)
    with pytest.raises(ValueError, match=r'static_args=\("mask",\)'):
        tx.init(params)
