"""A 3 x 3 convolution with a quarter of the multiplications."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["is_faster", "winograd", "winograd_matrices"]

TILE = 4
"""Side of the squares of outputs that are computed together."""
PATCH = TILE + 2
"""Side of the square of inputs that such a square of outputs depends on."""
POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)
"""Points, besides infinity, of the polynomials; 2 and -2 would double the error."""

# With fewer channels or tiles, the transforms cost more than they save.
MIN_CHANNELS = 128
MIN_TILES = 64


def is_faster(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[Sequence[int]],
) -> bool:
    """Whether `winograd` fits a convolution and is faster than XLA on a CPU."""
    n, height, width, _ = inputs.shape
    num_tiles = n * -(-height // TILE) * -(-width // TILE)
    return (
        isinstance(num_tiles, int)  # a symbolic batch is not
        and kernel.shape[:2] == (3, 3)
        and tuple(strides) == (1, 1)
        and [tuple(pair) for pair in padding] == [(1, 1), (1, 1)]
        and min(kernel.shape[2:]) >= MIN_CHANNELS
        and num_tiles >= MIN_TILES
        # Its rounding errors are too large for 16 bits.
        and inputs.dtype in (jnp.float32, jnp.float64)
    )


def winograd(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    r"""A 3 x 3 convolution with stride 1 and ``"SAME"`` padding, by Winograd's F(4, 3).

    .. math:: Y = A^\top \left((G W G^\top) \odot (B^\top X B)\right) A

    for each square Y of 4 x 4 outputs and the 6 x 6 inputs X that it depends on, summed
    over the channels before the last transform. It takes 36 multiplications in place of
    144. Errors in float32 are within 1e-5 of the largest value, those of a plain
    convolution within 1e-6. NaN and infinity spread over the whole square.
    Differentiation keeps the transformed inputs, 9 / 4 times as large as the inputs,
    and the transformed kernel, 4 times as large as the kernel.

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

    They follow Toom and Cook. G evaluates the kernel at the points, A.T is the
    transpose of evaluating the outputs there, and B.T makes the whole a convolution.
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

    They are built from whole tiles and the first two rows and columns of the next
    tiles, because these are cheaper to transpose than slices with stride 4.
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
