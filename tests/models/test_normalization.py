"""`ChannelNorm` is `nnx.LayerNorm`, its derivatives included."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from models.normalization import ChannelNorm

EPSILON = 1e-6


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(0), (3, 4, 5, 6)) * 3 + 1


def with_parameters(module):
    """Scales and offsets that are not 1 and 0."""
    channels = module.scale[...].size
    module.scale[...] = jnp.linspace(0.5, 2.0, channels)
    module.bias[...] = jnp.linspace(-1.0, 1.0, channels)
    return nnx.split(module)


def both(channels=6):
    ours = with_parameters(ChannelNorm(channels, rngs=nnx.Rngs(0)))
    flax = nnx.LayerNorm(channels, epsilon=EPSILON, rngs=nnx.Rngs(0))
    return ours, with_parameters(flax)


def apply(graph, params, x):
    return nnx.merge(graph, params)(x)


def test_a_hand_computed_position():
    module = ChannelNorm(4, rngs=nnx.Rngs(0))
    # Mean 2, variance 2.
    y = module(jnp.asarray([[0.0, 2.0, 4.0, 2.0]]))
    np.testing.assert_allclose(y, [[-(2**0.5), 0, 2**0.5, 0]], rtol=1e-6)


def test_values_and_parameters_are_those_of_flax(x):
    (graph, params), (flax_graph, flax_params) = both()
    chex.assert_trees_all_equal(nnx.to_pure_dict(params), nnx.to_pure_dict(flax_params))
    expected = apply(flax_graph, flax_params, x)
    np.testing.assert_allclose(apply(graph, params, x), expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_flax(x):
    weights = jax.random.normal(jax.random.key(1), x.shape)
    gradients = []
    for graph, params in both():

        def loss(params, x, graph=graph):
            return jnp.sum(jnp.sin(apply(graph, params, x)) * weights)

        params_bar, x_bar = jax.grad(loss, argnums=(0, 1))(params, x)
        gradients.append((nnx.to_pure_dict(params_bar), x_bar))
    chex.assert_trees_all_close(*gradients, rtol=1e-4, atol=1e-5)


def test_forward_mode_and_second_derivatives_are_right(x):
    graph, params = both()[0]

    def fn(x):
        return jnp.sum(jnp.sin(apply(graph, params, x)), axis=-1)

    with jax.enable_x64(True):
        check_grads(
            fn, (np.asarray(x[0, 0], np.float64),), order=2, modes=("fwd", "rev")
        )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_normalised_in_float32(x, dtype):
    graph, params = both()[0]
    large = (x * 1000).astype(dtype)
    y = apply(graph, params, large)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, apply(graph, params, large.astype(jnp.float32)))
    halves = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    assert apply(graph, halves, large).dtype == dtype
