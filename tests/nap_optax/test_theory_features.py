"""Appendix C: what one step does to ReLU units, in float64; see docs/theory.md."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers.x64 import enable_x64


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    # Optax's own arithmetic mixes dtypes under x64.
    with enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


class Features(NamedTuple):
    """Of one step, for one input: means over the units."""

    cosine: Any  # of the pre-activations before and after
    relu_cosine: Any  # of the activations
    switched_off: Any  # share of the active units


ALPHAS = (0.5, 1.0, 2.0)


@functools.cache
def monte_carlo() -> dict[tuple[float, bool], tuple[Features, Features]]:
    """Means and their standard errors at eta sigma = 1.

    For weights scaled by alpha, and updates that scale with the gradient or not. The
    function does not depend on the scale of the weights; at alpha = 1 its gradient is
    Gaussian and has rows of the norm of the weights' rows, about 1.
    """
    num_repeats, num_inputs, num_units = 64, 16, 2048

    def one(key: jax.Array) -> Any:
        keys = jax.random.split(key, 3)
        weights, noise = (
            jax.random.normal(k, (num_units, num_inputs)) / np.sqrt(num_inputs)
            for k in keys[:2]
        )
        inputs = jax.random.normal(keys[2], (num_inputs,))
        radius = jnp.linalg.norm(weights)

        def function(weights: jax.Array) -> jax.Array:
            return radius * jnp.vdot(noise, weights / jnp.linalg.norm(weights))

        def features(alpha: jax.Array, scales_with_gradient: bool) -> Features:
            step = -jax.grad(function)(alpha * weights)
            if not scales_with_gradient:
                step *= jnp.linalg.norm(noise) / jnp.linalg.norm(step)
            before, after = alpha * weights @ inputs, (alpha * weights + step) @ inputs
            active = before > 0
            return Features(
                cosine(before, after),
                cosine(jnp.maximum(before, 0), jnp.maximum(after, 0)),
                jnp.sum(active & (after <= 0)) / jnp.sum(active),
            )

        return [
            jax.vmap(functools.partial(features, scales_with_gradient=scales))(
                jnp.array(ALPHAS)
            )
            for scales in (True, False)
        ]

    # Shape (repeat, alpha).
    repeats = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), num_repeats))
    return {
        (alpha, scales): (
            Features(*(float(jnp.mean(x[:, i])) for x in values)),
            Features(
                *(
                    float(jnp.std(x[:, i], ddof=1)) / np.sqrt(num_repeats)
                    for x in values
                )
            ),
        )
        for scales, values in zip((True, False), repeats, strict=True)
        for i, alpha in enumerate(ALPHAS)
    }


def cosine(one: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.vdot(one, other) / jnp.linalg.norm(one) / jnp.linalg.norm(other)


def expected_features(ratio: float) -> Features:
    """For a step whose norm is `ratio` times that of the weights."""
    rho = 1 / np.sqrt(1 + ratio**2)
    angle = np.arccos(rho)
    return Features(
        cosine=rho,
        # The arc-cosine kernel of degree 1 (Cho and Saul, 2009).
        relu_cosine=(np.sin(angle) + (np.pi - angle) * rho) / np.pi,
        switched_off=0.5 - np.arctan(1 / ratio) / np.pi,
    )


@pytest.mark.slow
@pytest.mark.parametrize("scales_with_gradient", [True, False], ids=["sgd", "adam"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_appendix_c(alpha: float, scales_with_gradient: bool) -> None:
    ratio = 1 / alpha**2 if scales_with_gradient else 1 / alpha
    means, errors = monte_carlo()[alpha, scales_with_gradient]
    want = expected_features(ratio)
    for name, mean, error in zip(Features._fields, means, errors, strict=True):
        print(f"{name}: {mean:.4f} ± {error:.4f}, formula {getattr(want, name):.4f}")
        assert error < 0.003, name
        assert abs(mean - getattr(want, name)) < 4 * error, name


def test_appendix_c_by_hand() -> None:
    at_2, at_1 = expected_features(1 / 4), expected_features(1)
    np.testing.assert_allclose(at_2.cosine, 0.970, atol=5e-4)
    np.testing.assert_allclose(at_2.switched_off, 0.0780, atol=5e-5)
    np.testing.assert_allclose(at_1, (1 / np.sqrt(2), 0.755, 0.25), atol=5e-4)


@pytest.mark.slow
def test_appendix_c_as_printed_is_a_misprint() -> None:
    # The cosine with eta / alpha, beside a probability with eta / alpha^2.
    (mean, _, _), (error, _, _) = monte_carlo()[2.0, True]
    printed = expected_features(1 / 2).cosine
    np.testing.assert_allclose(printed, 0.894, atol=5e-4)
    assert abs(mean - printed) > 50 * error
