"""Feature metrics: a case by hand for each formula, invariances and edge cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nap_optax.metrics import (
    activation_pattern_change,
    dormant_fraction,
    feature_covariance_change,
)


def reference_covariance_change(a, b):
    """Equation 3 as it is written, with n × n matrices, in float64."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    covariances = [f @ f.T / np.sum(f**2) for f in (a, b)]
    return np.linalg.norm(covariances[0] - covariances[1])


def random_pair(distance, shape=(200, 16), seed=0):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=shape)
    b = a + distance * generator.normal(size=shape)
    return jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)


def test_covariance_change_by_hand():
    # C_a = diag(1, 0); C_b = [[1, 1], [1, 1]] / 2; the difference has norm 1.
    a = jnp.array([[2.0], [0.0]])
    b = jnp.array([[3.0], [3.0]])
    np.testing.assert_allclose(feature_covariance_change(a, b), 1.0, rtol=1e-6)


@pytest.mark.parametrize("distance", [3.0, 0.1, 1e-3])
def test_covariance_change_equals_the_definition(distance):
    a, b = random_pair(distance)
    np.testing.assert_allclose(
        feature_covariance_change(a, b), reference_covariance_change(a, b), rtol=1e-4
    )


def test_covariance_change_does_not_cancel():
    a, b = random_pair(1.4e-4)
    truth = reference_covariance_change(a, b)
    assert 3e-5 < truth < 8e-5
    np.testing.assert_allclose(feature_covariance_change(a, b), truth, rtol=1e-3)
    # The textbook identity, in the same precision, has nothing left of it.
    unit_a, unit_b = a / jnp.linalg.norm(a), b / jnp.linalg.norm(b)
    grams = (unit_a.T @ unit_a, unit_b.T @ unit_b, unit_a.T @ unit_b)
    aa, bb, ab = (jnp.sum(jnp.square(gram)) for gram in grams)
    naive = jnp.sqrt(jnp.maximum(aa + bb - 2 * ab, 0))
    assert abs(naive - truth) > 0.5 * truth


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_covariance_change_ignores_rotation_and_scale(scale):
    a, b = random_pair(0.3)
    rotation = jnp.asarray(
        np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0], jnp.float32
    )
    moved = scale * (b @ rotation)
    np.testing.assert_allclose(feature_covariance_change(b, moved), 0, atol=5e-4)
    np.testing.assert_allclose(
        feature_covariance_change(a, moved),
        feature_covariance_change(a, b),
        rtol=1e-4,
    )


def test_covariance_change_of_zero_features():
    a, _ = random_pair(0.0)
    zero = jnp.zeros_like(a)
    norm = np.linalg.norm(np.asarray(a, np.float64) @ np.asarray(a).T) / np.sum(
        np.asarray(a, np.float64) ** 2
    )
    assert feature_covariance_change(zero, zero) == 0
    np.testing.assert_allclose(feature_covariance_change(a, zero), norm, rtol=1e-5)
    np.testing.assert_allclose(feature_covariance_change(zero, a), norm, rtol=1e-5)


@pytest.mark.slow
def test_covariance_change_gradients():
    a, b = random_pair(0.5, shape=(6, 3))
    gradient = jax.grad(feature_covariance_change)(a, b)
    assert jnp.all(jnp.isfinite(gradient))
    assert jnp.linalg.norm(gradient) > 1e-3
    for first, second in ((a, a), (jnp.zeros_like(a), jnp.zeros_like(a))):
        gradient = jax.grad(feature_covariance_change)(first, second)
        np.testing.assert_array_equal(gradient, 0)


def test_covariance_change_of_bfloat16_features_is_float32():
    a, b = (f.astype(jnp.bfloat16) for f in random_pair(0.5))
    change = feature_covariance_change(a, b)
    assert change.dtype == jnp.float32
    np.testing.assert_allclose(change, reference_covariance_change(a, b), rtol=1e-4)


def test_covariance_change_passes_nan_on():
    a, b = random_pair(0.1)
    assert jnp.isnan(feature_covariance_change(a, b.at[0, 0].set(jnp.nan)))


def test_pattern_change_by_hand():
    before = jnp.array([[1.0, -1.0, 0.0], [2.0, 0.5, -3.0]])
    after = jnp.array([[0.1, 2.0, 0.0], [-1.0, 0.6, 4.0]])
    # Three of six indicators differ: (0, 1), (1, 0) and (1, 2).
    np.testing.assert_allclose(activation_pattern_change(before, after), 0.5)
    np.testing.assert_allclose(
        activation_pattern_change(before, after, norm="frobenius"), np.sqrt(3)
    )


@pytest.mark.parametrize("norm", ["mean", "frobenius"])
def test_pattern_change_is_the_same_before_and_after_the_relu(norm):
    a, b = random_pair(1.0)
    change = activation_pattern_change(a, b, norm=norm)
    assert change > 0
    after = activation_pattern_change(jax.nn.relu(a), jax.nn.relu(b), norm=norm)
    np.testing.assert_array_equal(after, change)
    assert change.dtype == jnp.float32
    assert activation_pattern_change(jnp.zeros_like(a), jnp.zeros_like(a)) == 0


def test_dormant_fraction_by_hand():
    # Mean magnitudes 2, 0.1, 0, 1.9; the layer's mean is 1: scores 2, 0.1, 0, 1.9.
    activations = jnp.array([[-2.0, 0.1, 0.0, 3.8], [2.0, -0.1, 0.0, 0.0]])
    np.testing.assert_allclose(dormant_fraction(activations), 0.25)
    np.testing.assert_allclose(dormant_fraction(activations, 0.11), 0.5)
    np.testing.assert_allclose(dormant_fraction(activations, 0.0), 0.25)
    np.testing.assert_allclose(dormant_fraction(1e-3 * activations, 0.11), 0.5)


def test_dormant_fraction_averages_over_space():
    activations = np.random.default_rng(0).exponential(size=(4, 3, 2, 5))
    activations[..., 0] = 0
    activations = jnp.asarray(activations, jnp.float32)
    flat = activations.reshape(-1, 5)
    np.testing.assert_allclose(dormant_fraction(activations), 0.2)
    np.testing.assert_allclose(
        dormant_fraction(activations, 1.0), dormant_fraction(flat, 1.0)
    )


def test_dormant_fraction_of_zero_and_of_nan():
    assert dormant_fraction(jnp.zeros((3, 4))) == 1
    assert jnp.isnan(dormant_fraction(jnp.ones((3, 4)).at[0, 0].set(jnp.nan)))


FUNCTIONS = [
    feature_covariance_change,
    activation_pattern_change,
    lambda a, b: activation_pattern_change(a, b, norm="frobenius"),
    lambda a, b: dormant_fraction(a * b, 0.5),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_jit_and_vmap(function):
    pairs = [random_pair(0.5, seed=seed) for seed in range(3)]
    stacked = [jnp.stack(side) for side in zip(*pairs, strict=True)]
    expected = jnp.stack([function(a, b) for a, b in pairs])
    batched = jax.jit(jax.vmap(function))(*stacked)
    np.testing.assert_allclose(batched, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "function", [feature_covariance_change, activation_pattern_change]
)
def test_shapes_that_do_not_fit(function):
    with pytest.raises(ValueError, match=r"^features_a must .*got shape \(2, 3, 4\)"):
        function(jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"^features_b must .*\(2, 3\), got \(2, 4\)"):
        function(jnp.ones((2, 3)), jnp.ones((2, 4)))


def test_arguments_out_of_range():
    a = jnp.ones((2, 3))
    with pytest.raises(
        ValueError, match=r"^norm must be 'mean' or 'frobenius', got 'l"
    ):
        activation_pattern_change(a, a, norm="l2")
    with pytest.raises(ValueError, match=r"^activations must .*got shape \(3,\)"):
        dormant_fraction(a[0])
    with pytest.raises(
        ValueError, match=r"^threshold=-1: must be a number of 0 or more"
    ):
        dormant_fraction(a, -1)
