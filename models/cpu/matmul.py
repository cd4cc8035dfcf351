"""Matrix products with fast gradients."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import lax

__all__ = ["matmul_few_rows", "matmul_tall"]


@jax.custom_jvp
def matmul_tall(inputs_NF: jax.Array, kernel_FD: jax.Array) -> jax.Array:
    """``inputs @ kernel`` for a kernel with more rows than columns.

    The kernel's gradient, inputsᵀ @ cotangents, reads two matrices along their slow
    axis. XLA's CPU backend does that at half its usual rate. Transposing the narrow
    cotangents first costs a few per cent of the time that it saves.
    """
    return inputs_NF @ kernel_FD


@matmul_tall.defjvp
def _matmul_tall_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    inputs_NF, kernel_FD = primals
    inputs_dot_NF, kernel_dot_FD = tangents
    # Its transpose is (cotangentsᵀ @ inputs)ᵀ.
    from_kernel_ND = _by_transposes(
        lambda kernel_dot_DF: lax.dot_general(
            kernel_dot_DF, inputs_NF, dimension_numbers=(((1,), (1,)), ((), ()))
        ),
        kernel_dot_FD,
    )
    outputs_dot_ND = inputs_dot_NF @ kernel_FD + from_kernel_ND
    return inputs_NF @ kernel_FD, outputs_dot_ND


@jax.custom_jvp
def matmul_few_rows(inputs_NF: jax.Array, kernel_FD: jax.Array) -> jax.Array:
    """``inputs @ kernel`` for a small batch and a large kernel.

    On a CPU Eigen is XLA's fastest library for this product. But the inputs' gradient,
    cotangents @ kernelᵀ, takes Eigen four times as long as the product. Written as
    (kernel @ cotangentsᵀ)ᵀ it takes as long as the product, and the two arrays that are
    transposed are small.
    """
    return inputs_NF @ kernel_FD


@matmul_few_rows.defjvp
def _matmul_few_rows_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    inputs_NF, kernel_FD = primals
    inputs_dot_NF, kernel_dot_FD = tangents
    # Its transpose is (kernel @ cotangentsᵀ)ᵀ.
    from_inputs_ND = _by_transposes(
        lambda inputs_dot_FN: lax.dot_general(
            kernel_FD, inputs_dot_FN, dimension_numbers=(((0,), (0,)), ((), ()))
        ),
        inputs_dot_NF,
    )
    outputs_dot_ND = from_inputs_ND + inputs_NF @ kernel_dot_FD
    return inputs_NF @ kernel_FD, outputs_dot_ND


def _by_transposes(
    product: Callable[[jax.Array], jax.Array], matrix: jax.Array
) -> jax.Array:
    """``product(matrix.T).T``, with both transposed in memory, also in its derivative.

    Without the barriers XLA would cancel the two transpositions.
    """
    return lax.optimization_barrier(product(lax.optimization_barrier(matrix.T))).T
