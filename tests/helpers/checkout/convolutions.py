"""Plain convolutions to compare with, and arrays to convolve."""

import jax
import jax.numpy as jnp
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


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
