"""A convolution as one matrix product, for kernels that may differ between members."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["convolve_patches"]


def convolve_patches(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
) -> jax.Array:
    """A convolution that gathers its inputs by slices and multiplies once.

    XLA's CPU backend is slow for a convolution inside a loop of a program, and a GPU is
    slow if the kernel differs from member to member. A product of matrices is fast in
    both. Its inputs take (rows x columns of the kernel) times the memory, so it is for
    small images.

    Args:
      inputs: shape ``(n, height, width, inputs)``.
      kernel: shape ``(rows, columns, inputs, outputs)``.
      strides: of rows and of columns.
      padding: ``"SAME"``, ``"VALID"`` or (before, after) of rows and of columns.

    Returns:
      An array of shape ``(n, height, width, outputs)``, after the strides.
    """
    rows, columns, channels, outputs = kernel.shape
    down, right = strides
    pads = (
        padding
        if not isinstance(padding, str)
        else lax.padtype_to_pads(inputs.shape[1:3], (rows, columns), strides, padding)
    )
    padded = jnp.pad(inputs, ((0, 0), *pads, (0, 0)))
    n, height, width, _ = padded.shape
    num_down, num_right = (height - rows) // down + 1, (width - columns) // right + 1
    patches = jnp.concatenate(
        [
            padded[
                :,
                row : row + down * (num_down - 1) + 1 : down,
                column : column + right * (num_right - 1) + 1 : right,
            ]
            for row in range(rows)
            for column in range(columns)
        ],
        axis=-1,
    )
    flat = patches.reshape(n * num_down * num_right, rows * columns * channels)
    convolved = flat @ kernel.reshape(rows * columns * channels, outputs)
    return convolved.reshape(n, num_down, num_right, outputs)
