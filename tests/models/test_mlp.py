"""Perceptrons against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import MLP, ModularMLP


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [jax.nn.relu, jnp.tanh])
def test_mlp_equals_the_formula(activation):
    model = MLP(4, (5, 6), 2, activation=activation, rngs=nnx.Rngs(0))
    inputs = numbers(3, 2, 2)
    h, expected = inputs.reshape(3, 4), []
    for index in range(3):
        layer = model.layers[index]
        h = h @ layer.kernel[...] + layer.bias[...][None]
        h = activation(h) if index < 2 else h
        expected.append(h)
    np.testing.assert_allclose(model(inputs), h, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(model.features(inputs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_mlp_starts_uniform_and_may_start_larger():
    def build(scale):
        return nnx.state(MLP(400, (100,), 10, init_scale=scale, rngs=nnx.Rngs(0)))

    first = nnx.to_pure_dict(build(1.0))["layers"][0]
    for leaf in (first["kernel"], first["bias"]):
        assert jnp.max(jnp.abs(leaf)) <= 1 / 20
        np.testing.assert_allclose(jnp.max(jnp.abs(leaf)), 1 / 20, rtol=0.02)
    np.testing.assert_allclose(jnp.std(first["kernel"]), 1 / 20 / 3**0.5, rtol=0.02)
    larger = jax.jit(build)(8.0)
    jax.tree.map(
        lambda one, eight: np.testing.assert_allclose(8 * one, eight, rtol=1e-6),
        build(1.0),
        larger,
    )


@pytest.mark.parametrize(
    ("activation", "phi"),
    [("quadratic", np.square), ("relu", lambda h: np.maximum(h, 0))],
)
@pytest.mark.parametrize(
    ("scaling", "factor"), [("ntk", 20**-0.5), ("mean_field", 0.05)]
)
def test_modular_mlp_equals_the_formula(activation, phi, scaling, factor):
    model = ModularMLP(7, 20, activation=activation, scaling=scaling, rngs=nnx.Rngs(0))
    x, y = np.array([0, 6, 3]), np.array([2, 5, 0])
    one_hot = np.concatenate([np.eye(7)[x], np.eye(7)[y]], axis=1)
    hidden = phi(one_hot @ np.asarray(model.hidden.kernel[...]) / 14**0.5)
    expected = factor * hidden @ np.asarray(model.readout.kernel[...])
    outputs = model(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.features(jnp.asarray(x), jnp.asarray(y)), hidden, rtol=1e-4
    )


def test_modular_mlp_starts_with_standard_normals():
    model = ModularMLP(23, 500, rngs=nnx.Rngs(0))
    for matrix in (model.hidden.kernel[...], model.readout.kernel[...]):
        np.testing.assert_allclose(
            [matrix.mean(), matrix.std()], [0, 1], atol=0.03, rtol=0
        )


def test_what_is_refused():
    with pytest.raises(ValueError, match="each size must be an int of at least 1"):
        MLP(4, (0,), 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="4 numbers in each example"):
        MLP(4, (3,), 2, rngs=nnx.Rngs(0))(jnp.ones((2, 5)))
    with pytest.raises(ValueError, match="'ntk' or 'mean_field', got 'none'"):
        ModularMLP(7, 3, scaling="none", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="modulus must be an int of at least 2"):
        ModularMLP(1, 3, rngs=nnx.Rngs(0))
