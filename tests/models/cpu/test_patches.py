"""A convolution by patches is the plain convolution, and so are its gradients."""

import numpy as np
import pytest

from helpers.checkout.convolutions import arrays, plain, with_gradients
from models.cpu.patches import convolve_patches


@pytest.mark.parametrize(
    ("strides", "padding"),
    [
        ((1, 1), "VALID"),
        ((1, 1), "SAME"),
        ((2, 3), "VALID"),
        ((2, 1), ((0, 1), (2, 1))),
    ],
)
def test_values_and_gradients_are_those_of_a_convolution(strides, padding):
    inputs, kernel = arrays((2, 9, 8, 3), (3, 2, 3, 5))

    def ours(inputs, kernel):
        return convolve_patches(inputs, kernel, strides, padding)

    def theirs(inputs, kernel):
        return plain(inputs, kernel, strides, padding)

    for got, want in zip(
        flat(with_gradients(ours, inputs, kernel)),
        flat(with_gradients(theirs, inputs, kernel)),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def flat(results):
    outputs, (of_inputs, of_kernel) = results
    return outputs, of_inputs, of_kernel
