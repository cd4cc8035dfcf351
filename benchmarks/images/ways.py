"""Other ways to compute a convolution, which `nnx.Conv` calls instead of `lax`'s.

Each takes (inputs, kernel, strides, padding, **other options of
`lax.conv_general_dilated`).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def shifted(
    inputs: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any
) -> list[jax.Array]:
    """Returns the inputs that each position of the kernel meets, in order."""
    rows, columns, *_ = kernel.shape
    _, height, width, _ = inputs.shape
    if isinstance(padding, str):
        sides, windows = (height, width), (rows, columns)
        padding = lax.padtype_to_pads(sides, windows, strides, padding)
    padded = jnp.pad(inputs, [(0, 0), *padding, (0, 0)])
    down, right = strides
    last_row, last_column = padded.shape[1] - rows, padded.shape[2] - columns
    return [
        padded[:, i : last_row + i + 1 : down, j : last_column + j + 1 : right]
        for i in range(rows)
        for j in range(columns)
    ]


def one_product(
    inputs: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **_: Any
) -> jax.Array:
    """Convolves by one product of shifted slices, side by side, and the kernel."""
    patches = jnp.concatenate(shifted(inputs, kernel, strides, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def product_for_the_kernel(
    inputs: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any
) -> jax.Array:
    """Convolves by `lax.conv`, with the kernel's gradient as one product of slices."""

    @jax.custom_vjp
    def convolve(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(inputs, kernel, strides, padding, **options)

    def forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
        return convolve(inputs, kernel), (inputs, kernel)

    def backward(saved: Any, cotangents: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs, kernel = saved
        patches = jnp.concatenate(shifted(inputs, kernel, strides, padding), axis=-1)
        rows = patches.reshape(-1, patches.shape[-1])
        kernel_bar = rows.T @ cotangents.reshape(-1, cotangents.shape[-1])
        _, pullback = jax.vjp(
            lambda x: lax.conv_general_dilated(x, kernel, strides, padding, **options),
            inputs,
        )
        return *pullback(cotangents), kernel_bar.reshape(kernel.shape)

    convolve.defvjp(forward, backward)
    return convolve(inputs, kernel)
