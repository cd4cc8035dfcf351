"""The layers of the models, each in the form that the platform computes fastest.

The function of a layer does not depend on the platform. `models.cpu` has the other
forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.cpu.convolution import are_defaults, faster_convolution
from models.cpu.matmul import matmul_few_rows, matmul_tall
from models.cpu.patches import convolve_patches
from models.normalization import CenteredChannelNorm

__all__ = [
    "centered",
    "conv",
    "conv_norm",
    "convolve",
    "convolve_small",
    "identity",
    "linear",
    "matmul",
    "matmul_small_batch",
    "relu",
]

Padding = str | int
"""The padding as in ``nnx.Conv``."""

lecun_normal = nnx.initializers.lecun_normal()


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> jax.Array:
    """``jax.lax.conv_general_dilated`` as ``nnx.Conv`` calls it, faster on a CPU.

    Args:
      inputs: shape ``(n, height, width, inputs)``.
      kernel: shape ``(rows, columns, inputs, outputs)``, of the same dtype.
      strides: of rows and of columns.
      padding: ``"SAME"``, ``"VALID"`` or (before, after) of rows and of columns.
      **options: other options of ``jax.lax.conv_general_dilated``.

    Returns:
      An array of shape ``(n, height, width, outputs)``, after the strides.
    """

    def plain(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(inputs, kernel, strides, padding, **options)

    on_cpu = faster_convolution(inputs, kernel, strides, padding, options)
    if on_cpu is None:
        return plain(inputs, kernel)
    return lax.platform_dependent(inputs, kernel, cpu=on_cpu, default=plain)


def centered(convolution: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A convolution minus its mean over the outputs, at each position.

    A LayerNorm would subtract that mean. Here it is subtracted from the kernel, which
    is much smaller than the outputs.

    Args:
      convolution: takes (inputs, kernel, ...), with outputs on the kernel's last axis.
    """

    def convolve_less_mean(
        inputs: jax.Array, kernel: jax.Array, *args: Any, **options: Any
    ) -> jax.Array:
        kernel = kernel - jnp.mean(kernel, axis=-1, keepdims=True)
        return convolution(inputs, kernel, *args, **options)

    return convolve_less_mean


def convolve_small(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> jax.Array:
    """:func:`convolve` as a product of matrices, for small images inside a loop.

    Raises:
      NotImplementedError: if one of ``options`` is not the default of ``nnx.Conv``.
    """
    if not are_defaults(options):
        raise NotImplementedError(f"options of a convolution: {options}")
    return convolve_patches(inputs, kernel, strides, padding)


# Made once, because comparing models compares their functions by identity.
CENTERED = {fn: centered(fn) for fn in (convolve, convolve_small)}
convolve_centered = CENTERED[convolve]


def conv(
    inputs: int,
    outputs: int,
    size: int,
    stride: int,
    *,
    padding: Padding,
    rngs: nnx.Rngs,
    convolution: Callable[..., jax.Array] = convolve,
    kernel_init: nnx.Initializer = lecun_normal,
    bias_init: nnx.Initializer | None = None,
) -> nnx.Conv:
    """A square convolution, by default from a truncated normal of variance 1 / inputs.

    There is a bias if ``bias_init`` is given.
    """
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        (stride, stride),
        padding=padding,
        use_bias=bias_init is not None,
        kernel_init=kernel_init,
        bias_init=bias_init or nnx.initializers.zeros_init(),
        conv_general_dilated=convolution,
        rngs=rngs,
    )


def conv_norm(
    inputs: int,
    outputs: int,
    size: int,
    stride: int,
    *,
    padding: Padding,
    rngs: nnx.Rngs,
    convolution: Callable[..., jax.Array] = convolve,
    kernel_init: nnx.Initializer = lecun_normal,
    use_bias: bool = True,
) -> tuple[nnx.Conv, CenteredChannelNorm]:
    """A convolution and the LayerNorm over its outputs: ``norm(conv(x))``.

    The two belong together. The convolution is already centred, so the LayerNorm does
    not compute a mean. Together they are the function of the two plain layers.
    ``use_bias`` is whether the LayerNorm has an offset.
    """
    centered_conv = conv(
        inputs,
        outputs,
        size,
        stride,
        padding=padding,
        convolution=CENTERED[convolution],
        kernel_init=kernel_init,
        rngs=rngs,
    )
    return centered_conv, CenteredChannelNorm(outputs, use_bias=use_bias, rngs=rngs)


def linear(
    inputs: int,
    outputs: int,
    kernel_init: nnx.Initializer,
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """A matrix without bias."""
    return nnx.Linear(
        inputs, outputs, use_bias=False, kernel_init=kernel_init, rngs=rngs
    )


def matmul(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """``inputs @ kernel``, with a faster gradient on a CPU for a tall kernel."""
    if inputs.ndim != 2:
        return inputs @ kernel
    return lax.platform_dependent(inputs, kernel, cpu=matmul_tall, default=jnp.matmul)


def matmul_small_batch(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """``inputs @ kernel``, with a faster gradient on a CPU for a small batch.

    It is faster if XLA uses Eigen and both sides of the kernel are much longer than the
    batch. Otherwise it is as fast as the plain product.

    Args:
      inputs: shape ``(n, features)``.
      kernel: shape ``(features, outputs)``.

    Returns:
      An array of shape ``(n, outputs)``.
    """
    return lax.platform_dependent(
        inputs, kernel, cpu=matmul_few_rows, default=jnp.matmul
    )


def relu(x: jax.Array) -> jax.Array:
    """``max(x, 0)``, computed once and stored.

    XLA considers ``jax.nn.relu`` so cheap that it repeats it in every operation that
    reads it, with all steps back to the last convolution; in a residual network, with
    all previous blocks. A selection has two inputs and is not repeated. The derivative
    is that of ``jax.nn.relu``, 0 at 0, except for 1 at NaN.
    """
    return jnp.where(x <= 0, 0, x)  # NaN stays NaN


def identity(x: jax.Array) -> jax.Array:
    """The identity, in place of a normalisation that is left out."""
    return x
