"""Convolutions in the form that XLA's CPU backend computes fastest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from models.cpu.winograd import is_faster, winograd

__all__ = ["are_defaults", "faster_convolution", "paired_columns"]

Sides = tuple[int, int]
Padding = tuple[Sides, Sides]
Convolution = Callable[[jax.Array, jax.Array], jax.Array]
"""A convolution: inputs and kernel to outputs."""


def faster_convolution(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    options: Mapping[str, Any],
) -> Convolution | None:
    """A faster way to compute a convolution on a CPU, or None.

    Args:
      inputs: shape ``(n, height, width, inputs)``.
      kernel: shape ``(rows, columns, inputs, outputs)``.
      strides: of rows and of columns.
      padding: ``"SAME"``, ``"VALID"`` or (before, after) of rows and of columns.
      options: the other options of ``jax.lax.conv_general_dilated``. There is a faster
        way only with their defaults and the ``dimension_numbers`` of these shapes.
    """
    if not are_defaults(options) or inputs.dtype != kernel.dtype:
        return None
    down, right = strides
    rows, columns = (
        padding
        if not isinstance(padding, str)
        else lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    )
    if is_faster(inputs, kernel, strides, (rows, columns)):
        return winograd
    if _is_for_pairs(inputs, right):
        return partial(paired_columns, down, (rows, columns))
    return None


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def paired_columns(
    down: int, padding: Padding, inputs: jax.Array, kernel: jax.Array
) -> jax.Array:
    """A convolution with stride 2 along the columns, which reads two columns as one.

    XLA's CPU backend is slow for three channels. With six channels and half the columns
    it takes a quarter of the time. The kernel's derivative is computed by the plain
    convolution, because that is faster there.

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


def are_defaults(options: Mapping[str, Any]) -> bool:
    """Whether a convolution's other options have their defaults."""
    defaults = (None, 1, (1, 1), [1, 1])
    return all(
        name == "dimension_numbers" or value in defaults
        for name, value in options.items()
    )


def _is_for_pairs(inputs: jax.Array, right: int) -> bool:
    _, _, width, channels = inputs.shape
    return channels == 3 and right == 2 and width % 2 == 0


def _plain(
    inputs: jax.Array, kernel: jax.Array, strides: Sides, padding: Padding
) -> jax.Array:
    return lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
