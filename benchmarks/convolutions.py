"""Other ways to compute a convolution: what `nnx.Conv` calls instead of `lax`'s.

Each takes (inputs, kernel, strides, padding, **other options of
`lax.conv_general_dilated`).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def shifted(
    inputs: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any
) -> list[jax.Array]:
    """For each position of the kernel, in order, the inputs that it meets."""
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
    """Shifted slices side by side, times the kernel as one matrix."""
    patches = jnp.concatenate(shifted(inputs, kernel, strides, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def product_for_the_kernel(
    inputs: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any
) -> jax.Array:
    """`lax.conv`, and the gradient of the kernel as one product of shifted slices."""

    @jax.custom_vjp
    def convolve(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            inputs, kernel, strides, padding=padding, **options
        )

    def forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
        return convolve(inputs, kernel), (inputs, kernel)

    def backward(saved: Any, cotangents: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs, kernel = saved
        patches = jnp.concatenate(shifted(inputs, kernel, strides, padding), axis=-1)
        rows = patches.reshape(-1, patches.shape[-1])
        kernel_bar = rows.T @ cotangents.reshape(-1, cotangents.shape[-1])
        _, pullback = jax.vjp(
            lambda x: lax.conv_general_dilated(
                x, kernel, strides, padding=padding, **options
            ),
            inputs,
        )
        return *pullback(cotangents), kernel_bar.reshape(kernel.shape)

    convolve.defvjp(forward, backward)
    return convolve(inputs, kernel)


def winograd(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """Winograd's F(4 x 4, 3 x 3): 36 multiplications for 16 outputs instead of 144.

    Stride 1 and `SAME` padding; the sides are multiples of 4. The transforms are
    products with constant matrices (Lavin & Gray, 2015, section 4.1).
    """
    n, height, width, channels = inputs.shape
    down, right, outputs = height // 4, width // 4, kernel.shape[-1]
    padded = jnp.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    tiles = jnp.stack(
        [
            padded[:, i : i + height - 3 : 4, j : j + width - 3 : 4]
            for i in range(6)
            for j in range(6)
        ]
    )
    of_inputs, of_kernel, of_outputs = (jnp.kron(m, m) for m in _winograd_matrices())
    spread = (of_inputs @ tiles.reshape(36, -1)).reshape(36, -1, channels)
    kernels = (of_kernel @ kernel.reshape(9, -1)).reshape(36, channels, outputs)
    products = jnp.matmul(spread, kernels)
    blocks = of_outputs @ products.reshape(36, -1)
    blocks = blocks.reshape(4, 4, n, down, right, outputs)
    return blocks.transpose(2, 3, 0, 4, 1, 5).reshape(n, height, width, outputs)


def _winograd_matrices() -> tuple[jax.Array, jax.Array, jax.Array]:
    """Those of the inputs (6, 6), of the kernel (6, 3) and of the outputs (4, 6).

    Toom and Cook's construction at the points 0, 1, -1, 2, -2 and infinity: outputs and
    kernel are evaluated there, and the inputs' matrix is what makes the whole a
    convolution, for which it is solved.
    """
    points = np.array([0.0, 1.0, -1.0, 2.0, -2.0])
    of_outputs = np.vander(points, 4, increasing=True).T
    of_outputs = np.hstack([of_outputs, [[0], [0], [0], [1]]])
    of_kernel = np.vstack([np.vander(points, 3, increasing=True), [[0, 0, 1]]])
    # For each tap k and output i: sum_p A[i, p] G[p, k] B[p, :] picks input i + k.
    system = np.einsum("ip,pk->ikp", of_outputs, of_kernel).reshape(12, 6)
    picked = np.array([np.eye(6)[i + k] for i in range(4) for k in range(3)])
    of_inputs = np.linalg.lstsq(system, picked, rcond=None)[0]
    return (
        jnp.asarray(of_inputs, jnp.float32),
        jnp.asarray(of_kernel, jnp.float32),
        jnp.asarray(of_outputs, jnp.float32),
    )
