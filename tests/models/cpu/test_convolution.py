"""Convolutions by other means are those of `lax`, their derivatives included."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from helpers.checkout.convolutions import arrays, plain, with_gradients
from models.cpu.convolution import paired_columns
from models.cpu.winograd import winograd, winograd_matrices

SAME = ((1, 1), (1, 1))


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
