"""Convolutions by other means are those of `lax`, their derivatives included."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from models.convolution import (
    convolve,
    convolve_centered,
    paired_columns,
    winograd,
    winograd_matrices,
)

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
SAME = ((1, 1), (1, 1))


def plain(inputs, kernel, strides=(1, 1), padding="SAME"):
    return lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=DIMENSIONS
    )


def arrays(image_shape, kernel_shape, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(keys[0], image_shape, dtype)
    return inputs, jax.random.normal(keys[1], kernel_shape, dtype)


def with_gradients(fn, inputs, kernel):
    @jax.jit
    def compute(inputs, kernel):
        outputs, pullback = jax.vjp(fn, inputs, kernel)
        weights = jnp.cos(jnp.arange(outputs.size, dtype=outputs.dtype))
        return outputs, pullback(weights.reshape(outputs.shape))

    return compute(inputs, kernel)


def test_matrices_of_winograd_are_those_worked_out_by_hand():
    of_inputs, of_kernel, of_outputs = winograd_matrices()
    # Rows of powers of the points 0, 1, -1, 2, -1/2, and infinity's.
    powers = [[1, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -0.5, 0.25], [0, 0, 1]]
    np.testing.assert_array_equal(of_kernel, powers)
    np.testing.assert_array_equal(of_outputs[1], [0, 1, -1, 2, -0.5, 0])
    np.testing.assert_array_equal(of_outputs[3], [0, 1, -1, 8, -0.125, 1])
    # (x - 1) (x + 1) (x - 2) (x + 1/2), which is 0 at all points but 0.
    row = [1, 1.5, -2, -1.5, 1, 0]
    np.testing.assert_allclose(of_inputs[0], row, atol=1e-12)
    np.testing.assert_allclose(of_inputs[5], [0, *row[:5]], atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(8, 12), (7, 5), (1, 2)])
def test_winograd_with_its_gradients_is_a_plain_convolution(sides):
    with jax.enable_x64(True):
        shapes = ((2, *sides, 5), (3, 3, 5, 6))
        inputs, kernel = arrays(*shapes, jnp.float64)
        chex.assert_trees_all_close(
            with_gradients(winograd, inputs, kernel),
            with_gradients(plain, inputs, kernel),
            rtol=1e-11,
            atol=1e-11,
        )


@pytest.mark.slow
def test_winograd_of_one_pixel_is_the_kernel_around_it():
    kernel = jnp.arange(9.0).reshape(3, 3, 1, 1)
    inputs = jnp.zeros((1, 8, 8, 1)).at[0, 4, 3].set(2.0)
    expected = np.zeros((8, 8))
    expected[3:6, 2:5] = 2.0 * np.arange(9)[::-1].reshape(3, 3)
    np.testing.assert_allclose(winograd(inputs, kernel)[0, ..., 0], expected, atol=1e-5)


@pytest.mark.slow
def test_error_of_winograd_in_single_precision():
    inputs, kernel = arrays((4, 16, 16, 128), (3, 3, 128, 128))
    ours = with_gradients(winograd, inputs, kernel)
    with jax.enable_x64(True):
        exact = with_gradients(
            plain, inputs.astype(jnp.float64), kernel.astype(jnp.float64)
        )
    for own, expected in zip(*map(jax.tree.leaves, (ours, exact)), strict=True):
        error = np.abs(np.asarray(own) - np.asarray(expected)).max()
        assert error < 1e-5 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"),
    [
        ((5, 5), 2, "SAME"),
        ((3, 3), 2, "SAME"),
        ((3, 4), 1, "SAME"),
        ((2, 1), 2, "VALID"),
        ((3, 3), 2, ((1, 1), (1, 1))),
        ((5, 6), 3, ((0, 2), (3, 4))),
    ],
)
def test_paired_columns_with_their_gradients(kernel_size, stride, padding):
    with jax.enable_x64(True):
        shapes = ((2, 7, 8, 3), (*kernel_size, 3, 4))
        inputs, kernel = arrays(*shapes, jnp.float64)
        strides = (stride, 2)
        if isinstance(padding, str):
            pads = lax.padtype_to_pads((7, 8), kernel_size, strides, padding)
        else:
            pads = padding
        chex.assert_trees_all_close(
            with_gradients(
                lambda x, w: paired_columns(stride, pads, x, w), inputs, kernel
            ),
            with_gradients(lambda x, w: plain(x, w, strides, pads), inputs, kernel),
            rtol=1e-12,
            atol=1e-12,
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["winograd", "paired_columns"])
def test_derivatives_in_both_modes_and_of_second_order(name):
    functions = {
        "winograd": winograd,
        "paired_columns": lambda x, w: paired_columns(1, SAME, x, w),
    }
    with jax.enable_x64(True):
        x, w = arrays((1, 4, 4, 3), (3, 3, 3, 2), jnp.float64)
        squared = jax.jit(lambda x, w: functions[name](x, w) ** 2)
        check_grads(squared, (x, w), order=2)


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
