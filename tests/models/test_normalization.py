"""`ChannelNorm` is `nnx.LayerNorm`, its derivatives included."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from models import normalization
from models.normalization import CenteredChannelNorm, ChannelNorm

EPSILON = 1e-6


# A CPU sums up to 32 channels at once, multiples of 32 in parts.
CHANNELS = (6, 32, 33, 64, 96)


def positions(channels):
    return jax.random.normal(jax.random.key(0), (3, 4, 5, channels)) * 3 + 1


@pytest.fixture
def x():
    return positions(6)


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


@pytest.mark.slow
@pytest.mark.parametrize("channels", CHANNELS)
def test_values_and_parameters_are_those_of_flax(channels):
    x = positions(channels)
    (graph, params), (flax_graph, flax_params) = both(channels)
    chex.assert_trees_all_equal(nnx.to_pure_dict(params), nnx.to_pure_dict(flax_params))
    expected = apply(flax_graph, flax_params, x)
    np.testing.assert_allclose(apply(graph, params, x), expected, rtol=1e-5, atol=1e-6)


def test_without_an_offset_it_is_that_of_flax(x):
    options = {"use_bias": False, "epsilon": EPSILON, "rngs": nnx.Rngs(0)}
    ours, flax = ChannelNorm(6, **options), nnx.LayerNorm(6, **options)
    for module in (ours, flax):
        module.scale[...] = jnp.linspace(0.5, 2.0, 6)

    def loss(module, x):
        return jnp.sum(jnp.sin(module(x)))

    for graded in (0, 1):
        gradients = [
            nnx.grad(loss, argnums=graded)(module, x) for module in (ours, flax)
        ]
        pure = [nnx.to_pure_dict(g) if graded == 0 else g for g in gradients]
        chex.assert_trees_all_close(*pure, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("channels", CHANNELS)
def test_gradients_are_those_of_flax(channels):
    x = positions(channels)
    weights = jax.random.normal(jax.random.key(1), x.shape)
    gradients = []
    for graph, params in both(channels):

        def loss(params, x, graph=graph):
            return jnp.sum(jnp.sin(apply(graph, params, x)) * weights)

        params_bar, x_bar = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, x)
        gradients.append((nnx.to_pure_dict(params_bar), x_bar))
    chex.assert_trees_all_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [6, 64])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("sums", [normalization._PLAIN, normalization._ON_CPU])
def test_forward_mode_and_second_derivatives_are_right(channels, centered, sums):
    form = normalization._Formula(sums, EPSILON, centered)

    def fn(x, scale, bias):
        y = normalization._normalize(form, x, scale, bias)
        return jnp.sum(jnp.sin(y), axis=-1)

    with jax.enable_x64(True):
        x = np.asarray(positions(channels)[0, 0], np.float64)
        scale = np.linspace(0.5, 2.0, channels)[None]
        check_grads(jax.jit(fn), (x, scale, 1 - scale), order=2, modes=("fwd", "rev"))


@pytest.mark.slow
@pytest.mark.parametrize("channels", [6, 64])
def test_a_centered_kernel_spares_the_mean(channels):
    """Values and gradients of a linear layer and its normalisation together."""
    kernel = jax.random.normal(jax.random.key(1), (5, channels)) + 1
    inputs = jax.random.normal(jax.random.key(2), (3, 4, 5))

    def loss(kernel, inputs, centered):
        if centered:
            kernel = kernel - kernel.mean(-1, keepdims=True)
        kind = CenteredChannelNorm if centered else ChannelNorm
        norm = kind(channels, rngs=nnx.Rngs(0))
        return jnp.sum(jnp.sin(norm(inputs @ kernel)))

    gradient = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1)), static_argnames="centered"
    )
    chex.assert_trees_all_close(
        gradient(kernel, inputs, centered=True),
        gradient(kernel, inputs, centered=False),
        rtol=1e-4,
        atol=1e-5,
    )


def test_accelerators_get_plain_sums():
    graph, params = both(64)[0]
    gradient = jax.grad(lambda params, x: jnp.sum(apply(graph, params, x) ** 2))
    traced = jax.jit(gradient).trace(params, positions(64))
    texts = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    counts = {
        name: [text.count(f"stablehlo.{kind}") for kind in ("dot_general", "slice")]
        for name, text in texts.items()
    }
    # Products for the scale and the bias; 64 channels in parts of 32.
    assert counts["cpu"][0] == 2
    assert counts["cpu"][1] > 0
    assert counts["cuda"] == counts["tpu"] == [0, 0]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_normalised_in_float32(x, dtype):
    graph, params = both()[0]
    large = (x * 1000).astype(dtype)
    y = apply(graph, params, large)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, apply(graph, params, large.astype(jnp.float32)))
    halves = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    assert apply(graph, halves, large).dtype == dtype
