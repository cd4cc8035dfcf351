"""Convolutions, written as XLA's CPU backend computes them fastest.

On other platforms, and where nothing here is faster, they are those of
``jax.lax.conv_general_dilated``; ``benchmarks/image_convolutions.py`` has the rates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["centered", "convolve", "convolve_centered", "paired_columns", "winograd"]

Sides = tuple[int, int]
Padding = tuple[Sides, Sides]

TILE = 4
"""Side of the squares of outputs that Winograd's algorithm computes together."""
PATCH = TILE + 2
"""Side of the inputs that such a square depends on."""
POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)
"""Where its polynomials are evaluated, besides infinity; 2 and -2 double the error."""

# With less of either, its transforms cost more than they spare.
MIN_CHANNELS = 128
MIN_TILES = 64


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> jax.Array:
    """A convolution, as ``nnx.Conv`` calls ``jax.lax.conv_general_dilated``.

    On a CPU :func:`winograd` and :func:`paired_columns` are used where they are faster.

    Args:
      inputs: shape ``(n, height, width, inputs)``.
      kernel: shape ``(rows, columns, inputs, outputs)``, of the same dtype.
      strides: of rows and of columns.
      padding: ``"SAME"``, ``"VALID"`` or (before, after) of rows and of columns.
      **options: the other ones of ``jax.lax.conv_general_dilated``; with any but their
        defaults, and with the ``dimension_numbers`` of these shapes, it is called.

    Returns:
      An array of shape ``(n, height, width, outputs)``, after the strides.
    """

    def plain(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(inputs, kernel, strides, padding, **options)

    if not _are_defaults(options) or inputs.dtype != kernel.dtype:
        return plain(inputs, kernel)
    down, right = strides
    rows, columns = (
        padding
        if not isinstance(padding, str)
        else lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    )
    if _is_for_winograd(inputs, kernel, (down, right), (rows, columns)):
        on_cpu = winograd
    elif _is_for_pairs(inputs, right):
        on_cpu = partial(paired_columns, down, (rows, columns))
    else:
        return plain(inputs, kernel)
    return lax.platform_dependent(inputs, kernel, cpu=on_cpu, default=plain)


def centered(convolution: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A convolution less the mean over the outputs of each position.

    What a LayerNorm without it would subtract, which then has no mean to compute, is
    subtracted from the kernel, much smaller than the outputs.

    Args:
      convolution: takes (inputs, kernel, ...), the outputs on the kernel's last axis.

    Returns:
      The same function of a kernel with its mean over the outputs subtracted, so that
      the mean of its values over the last axis is 0 but for rounding.
    """

    def of_centered(
        inputs: jax.Array, kernel: jax.Array, *args: Any, **options: Any
    ) -> jax.Array:
        kernel = kernel - jnp.mean(kernel, axis=-1, keepdims=True)
        return convolution(inputs, kernel, *args, **options)

    return of_centered


# Once, since graphs of models are compared, and functions by identity.
convolve_centered = centered(convolve)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def paired_columns(
    down: int, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    """A convolution with stride 2 along the columns, two of which are read as one.

    XLA's CPU backend is slow for three channels: with six, and half the columns, it
    takes a quarter of the time. The kernel's derivative is that of the plain
    convolution, which is the faster one there.

    Args:
      down: stride of the rows.
      padding: (before, after) of rows and of columns.
      inputs: shape ``(n, height, width, inputs)``, of an even width.
      kernel: shape ``(rows, columns, inputs, outputs)``.

    Returns:
      An array of shape ``(n, height, width, outputs)``, after the strides.
    """
    n, height, width, channels = inputs.shape
    rows, (before, after) = padding
    num_rows, num_columns, _, outputs = kernel.shape
    num_outputs = (width + before + after - num_columns) // 2 + 1
    # Zeros before and after, so that the kernel begins and ends with a pair.
    first = before % 2
    last = (first + num_columns) % 2
    kernel = jnp.pad(kernel, ((0, 0), (first, last), (0, 0), (0, 0)))
    num_pairs = kernel.shape[1] // 2
    pairs_before = (before + first) // 2
    pairs_after = num_outputs - 1 + num_pairs - pairs_before - width // 2
    return _plain(
        inputs.reshape(n, height, width // 2, 2 * channels),
        kernel.reshape(num_rows, num_pairs, 2 * channels, outputs),
        (down, 1),
        (rows, (pairs_before, pairs_after)),
    )


@paired_columns.defjvp
def _paired_columns_jvp(
    down: int,
    padding: Padding,
    primals: tuple[jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    (inputs, kernel), (inputs_dot, kernel_dot) = primals, tangents
    of_inputs = paired_columns(down, padding, inputs_dot, kernel)
    of_kernel = _plain(inputs, kernel_dot, (down, 2), padding)
    return paired_columns(down, padding, inputs, kernel), of_inputs + of_kernel


def winograd(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    r"""A 3 x 3 convolution with stride 1 and ``"SAME"`` padding, by Winograd's F(4, 3).

    .. math:: Y = A^\top \left((G W G^\top) \odot (B^\top X B)\right) A

    for each square Y of 4 x 4 outputs and the 6 x 6 inputs X that it depends on, summed
    over the channels before the last transform: 36 multiplications for 144. Float32
    values are within 1e-5 of the largest one; a plain convolution's within 1e-6. What
    is not finite spreads over the whole square. Differentiation keeps the transformed
    inputs, 9 / 4 times as large as the inputs, and kernel, 4 times.

    Args:
      inputs: shape ``(n, height, width, inputs)``, floating.
      kernel: shape ``(3, 3, inputs, outputs)``, of the same dtype.

    Returns:
      An array of shape ``(n, height, width, outputs)``.

    References:
      Lavin & Gray, `Fast Algorithms for Convolutional Neural Networks
      <https://arxiv.org/abs/1509.09308>`_, 2016, section 4; Barabasz et al., `Error
      Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
      Networks <https://arxiv.org/abs/1803.10986>`_, 2020 (the points)
    """
    n, height, width, channels = inputs.shape
    outputs = kernel.shape[-1]
    # Both axes of a square at once: one product of 36 rows for two of 6.
    of_inputs, of_kernel, of_outputs = (
        jnp.asarray(np.kron(matrix, matrix), inputs.dtype)
        for matrix in winograd_matrices()
    )
    patches = _patches(inputs)
    _, _, _, down, right, _ = patches.shape
    spread = (of_inputs @ patches.reshape(PATCH**2, -1)).reshape(PATCH**2, -1, channels)
    kernels = (of_kernel @ kernel.reshape(9, -1)).reshape(PATCH**2, channels, outputs)
    products = jnp.matmul(spread, kernels)
    tiles = of_outputs @ products.reshape(PATCH**2, -1)
    tiles = tiles.reshape(TILE, TILE, n, down, right, outputs)
    image = tiles.transpose(2, 3, 0, 4, 1, 5)
    image = image.reshape(n, TILE * down, TILE * right, outputs)
    return image[:, :height, :width]


@cache
def winograd_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``B.T`` (6, 6), ``G`` (6, 3) and ``A.T`` (4, 6) of :func:`winograd`, float64.

    By Toom and Cook: G evaluates the kernel at the points, A.T is what evaluating the
    outputs there is transposed, and B.T is what makes the whole a convolution.
    """
    infinity = np.eye(TILE)[:, -1:]
    of_outputs = np.hstack([np.vander(POINTS, TILE, increasing=True).T, infinity])
    of_kernel = np.vstack([np.vander(POINTS, 3, increasing=True), [[0, 0, 1]]])
    # For each output i and tap k, sum_p A.T[i, p] G[p, k] B.T[p, :] picks input i + k.
    system = np.einsum("ip,pk->ikp", of_outputs, of_kernel).reshape(-1, PATCH)
    picked = [np.eye(PATCH)[i + k] for i in range(TILE) for k in range(3)]
    of_inputs = np.linalg.lstsq(system, np.array(picked), rcond=None)[0]
    of_inputs[np.abs(of_inputs) < 1e-9] = 0
    return of_inputs, of_kernel, of_outputs


def _patches(inputs: jax.Array) -> jax.Array:
    """The squares of inputs, shape (6, 6, n, down, right, inputs).

    Whole tiles and the first two rows and columns of the next: unlike the slices with
    stride 4 that they are, they are cheap to transpose.
    """
    n, height, width, channels = inputs.shape
    down, right = (-(-side // TILE) for side in (height, width))
    after = [
        TILE * (tiles + 1) - side - 1
        for tiles, side in ((down, height), (right, width))
    ]
    padded = jnp.pad(inputs, ((0, 0), (1, after[0]), (1, after[1]), (0, 0)))
    tiles = padded.reshape(n, down + 1, TILE, right + 1, TILE, channels)
    tiles = tiles.transpose(2, 4, 0, 1, 3, 5)
    more = PATCH - TILE
    rows = jnp.concatenate([tiles[:, :, :, :-1], tiles[:more, :, :, 1:]], axis=0)
    return jnp.concatenate([rows[..., :-1, :], rows[:, :more, :, :, 1:]], axis=1)


def _are_defaults(options: Mapping[str, Any]) -> bool:
    defaults = (None, 1, (1, 1), [1, 1])
    return all(
        name == "dimension_numbers" or value in defaults
        for name, value in options.items()
    )


def _is_for_pairs(inputs: jax.Array, right: int) -> bool:
    _, _, width, channels = inputs.shape
    return channels == 3 and right == 2 and width % 2 == 0


def _is_for_winograd(
    inputs: jax.Array, kernel: jax.Array, strides: Sides, padding: Padding
) -> bool:
    n, height, width, _ = inputs.shape
    num_tiles = n * -(-height // TILE) * -(-width // TILE)
    return (
        isinstance(num_tiles, int)  # not so of a symbolic batch
        and kernel.shape[:2] == (3, 3)
        and strides == (1, 1)
        and [tuple(pair) for pair in padding] == [(1, 1), (1, 1)]
        and min(kernel.shape[2:]) >= MIN_CHANNELS
        and num_tiles >= MIN_TILES
        # What it loses to rounding is too much for 16 bits.
        and inputs.dtype in (jnp.float32, jnp.float64)
    )


def _plain(
    inputs: jax.Array, kernel: jax.Array, strides: Sides, padding: Padding
) -> jax.Array:
    return lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
