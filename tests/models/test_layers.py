"""Layers equal those of JAX on every platform; only on a CPU they have other forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers.checkout.convolutions import DIMENSIONS, arrays, plain
from models import layers
from models.layers import convolve, convolve_centered, relu

SAME = ((1, 1), (1, 1))
WIDE = {"images": (16, 8, 8, 128), "kernel": (3, 3, 128, 128)}
COLORS = {"images": (2, 8, 8, 3), "kernel": (5, 5, 3, 4), "strides": (2, 2)}


@pytest.mark.parametrize(
    ("changed", "by_other_means"),
    [
        (WIDE, True),
        (WIDE | {"padding": SAME}, True),
        (WIDE | {"images": (16, 7, 5, 128), "padding": [(1, 1), (1, 1)]}, True),
        (WIDE | {"images": (15, 8, 8, 128)}, False),
        (WIDE | {"padding": "VALID"}, False),
        (WIDE | {"padding": ((2, 0), (0, 2))}, False),
        (WIDE | {"rhs_dilation": (2, 2), "padding": ((2, 2), (2, 2))}, False),
        (WIDE | {"preferred_element_type": jnp.float32}, False),
        (WIDE | {"precision": "highest"}, False),
        (WIDE | {"rhs_dilation": (1, 1), "feature_group_count": 1}, True),
        (WIDE | {"strides": (2, 2)}, False),
        (WIDE | {"dtype": jnp.bfloat16}, False),
        (WIDE | {"kernel": (5, 5, 128, 128)}, False),
        (WIDE | {"kernel": (3, 3, 128, 64)}, False),
        (WIDE | {"images": (16, 8, 8, 64), "kernel": (3, 3, 64, 128)}, False),
        (COLORS, True),
        (COLORS | {"images": (2, 8, 7, 3)}, False),
        (COLORS | {"strides": (2, 1)}, False),
        (COLORS | {"images": (2, 8, 8, 1), "kernel": (5, 5, 1, 4)}, False),
    ],
)
def test_only_cpus_and_only_what_is_faster_there(changed, by_other_means):
    options = {"strides": (1, 1), "padding": "SAME"} | changed
    dtype = options.pop("dtype", jnp.float32)
    images, kernel = (
        jax.ShapeDtypeStruct(options.pop(name), dtype) for name in ("images", "kernel")
    )

    def fn(images, kernel):
        return convolve(images, kernel, dimension_numbers=DIMENSIONS, **options)

    traced = jax.jit(fn).trace(images, kernel)
    shape = f"(tensor<{'x'.join(map(str, images.shape))}x"
    for platform, expected in (("cpu", not by_other_means), ("cuda", True)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        found = [line for line in text.splitlines() if "stablehlo.convolution" in line]
        is_plain = len(found) == 1 and shape in found[0]
        assert is_plain == expected, platform


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shapes", "strides"),
    [
        (((2, 8, 8, 2), (5, 5, 2, 4)), (2, 2)),
        (((2, 8, 8, 3), (5, 5, 3, 4)), (2, 2)),
        (((16, 8, 8, 128), (3, 3, 128, 128)), (1, 1)),
    ],
)
@pytest.mark.parametrize("padding", ["SAME", "VALID", ((0, 1), (2, 1))])
def test_convolve_is_a_plain_convolution(shapes, strides, padding):
    inputs, kernel = arrays(*shapes)
    ours = convolve(inputs, kernel, strides, padding, dimension_numbers=DIMENSIONS)
    expected = plain(inputs, kernel, strides, padding)
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=atol)


def test_dtypes_that_differ_are_refused_as_by_lax():
    inputs, kernel = arrays((16, 8, 8, 128), (3, 3, 128, 128))
    with pytest.raises(TypeError, match="same dtypes"):
        convolve(
            inputs,
            kernel.astype(jnp.bfloat16),
            (1, 1),
            "SAME",
            dimension_numbers=DIMENSIONS,
        )


@pytest.mark.slow
def test_centered_outputs_are_those_without_their_mean():
    inputs, kernel = arrays((2, 5, 4, 3), (3, 3, 3, 6))
    ours = jax.jit(
        lambda x, w: convolve_centered(
            x, w, (1, 1), "SAME", dimension_numbers=DIMENSIONS
        )
    )(inputs, kernel)
    outputs = plain(inputs, kernel)
    expected = outputs - outputs.mean(-1, keepdims=True)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    assert jnp.abs(outputs.mean(-1)).max() > 1


@pytest.mark.parametrize(
    ("platform", "by_other_means"), [("cpu", True), ("tpu", False)]
)
@pytest.mark.parametrize("product", [layers.matmul, layers.matmul_small_batch])
def test_only_cpus_get_another_product(product, platform, by_other_means):
    gradient = jax.jit(jax.grad(lambda w, x: product(x, w).sum(), argnums=(0, 1)))
    traced = gradient.trace(jnp.ones((8, 2)), jnp.ones((4, 8)))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("optimization_barrier" in text) == by_other_means


def test_a_product_with_more_axes_is_a_plain_one():
    inputs, kernel = jnp.arange(24.0).reshape(2, 3, 4), jnp.arange(8.0).reshape(4, 2)
    np.testing.assert_allclose(layers.matmul(inputs, kernel), inputs @ kernel)


def test_relu_is_that_of_jax():
    x = jnp.asarray([-jnp.inf, -2.0, -0.0, 0.0, 3.0, jnp.inf, jnp.nan])
    np.testing.assert_array_equal(relu(x), jax.nn.relu(x))
    # Not at NaN, where the slope is 1 here and 0 there.
    slopes, expected = (jax.vmap(jax.grad(fn))(x[:-1]) for fn in (relu, jax.nn.relu))
    np.testing.assert_array_equal(slopes, expected)


def test_what_relu_returns_is_computed_once():
    def residual(h, weights):
        products = []
        for w in weights:
            h = relu(h + h @ w)
            products.append(h @ w)
        return products, h.T

    h, weights = jnp.ones((64, 64)), [jnp.ones((64, 64))] * 3
    program = jax.jit(residual).lower(h, weights).compile().as_text()
    assert program.count(" add(") == len(weights)  # 9 with jax.nn.relu
