"""LayerNorm over the channels of each position, and ReLU, with cheap derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = ["ChannelNorm", "relu"]

# XLA's CPU backend sums more than this many channels in two passes over the array.
SUMMED_AT_ONCE = 32
# Into so many parts it divides the positions that it sums over, and adds them first.
ADDED_AT_ONCE = 8


def relu(x: jax.Array) -> jax.Array:
    """``max(x, 0)``, whose result is stored, not computed again where it is used.

    XLA takes ``jax.nn.relu`` for so cheap that it repeats it, and all before it back to
    the last convolution, in every operation that reads it: in a residual network,
    through all blocks before. A selection has two inputs, and is not repeated. The
    derivative is that of ``jax.nn.relu``, 0 at 0, but for 1 at NaN.
    """
    return jnp.where(x <= 0, 0, x)  # NaN stays NaN


class ChannelNorm(nnx.LayerNorm):
    r"""``nnx.LayerNorm`` over the last axis, faster to differentiate on a CPU.

    .. math::

        y = \gamma\,\hat x + \beta, \qquad
        \hat x = \frac{x - \operatorname{mean}(x)}
        {\sqrt{\operatorname{var}(x) + \epsilon}}

    with the tangent

    .. math::

        \dot y = \frac{\gamma}{\sqrt{\operatorname{var}(x) + \epsilon}}
        \left(\dot x - \operatorname{mean}(\dot x)
        - \hat x \operatorname{mean}(\hat x\,\dot x)\right)
        + \dot\gamma\,\hat x + \dot\beta .

    The values, the parameters ``scale`` and ``bias`` and their names are those of
    ``nnx.LayerNorm``. Its derivative is that of the formula's single steps, for which
    XLA stores every one of them; here it is written in closed form, and remains
    differentiable in both modes and to any order. On a CPU the sums, over channels and
    over positions, are also written as XLA computes them fastest there
    (``benchmarks/image_step.py`` compares them).

    Args:
      channels: length of the last axis.
      epsilon: added to the variance.
      centered: whether the mean over the channels of what it is given is 0 already, as
        behind :func:`models.convolution.convolve_centered`. Then neither it nor that of
        the derivatives is computed: a LayerNorm's are those of the two together.
      rngs: random number generators, of which none is used.
    """

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-6,
        centered: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        super().__init__(channels, epsilon=epsilon, rngs=rngs)
        self.centered = centered

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """Normalises each position.

        Args:
          x: shape ``(..., channels)``, floating.

        Returns:
          An array of the same shape, of the dtype that x and the parameters promote
          to; float16 and bfloat16 are normalised in float32.
        """
        assert self.scale is not None
        assert self.bias is not None
        of_channels = (1,) * (x.ndim - 1) + (-1,)
        scale = self.scale[...].reshape(of_channels)
        bias = self.bias[...].reshape(of_channels)
        precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        normalized = jax.lax.platform_dependent(
            precise,
            scale.astype(precise.dtype),
            bias.astype(precise.dtype),
            cpu=partial(_normalize, _Form(_ON_CPU, self.epsilon, self.centered)),
            default=partial(_normalize, _Form(_PLAIN, self.epsilon, self.centered)),
        )
        return normalized.astype(jnp.result_type(x, scale, bias))


class _Sums(NamedTuple):
    """How sums over an axis are written.

    The derivative of a broadcast is a sum, so that the two last ones, of which only the
    derivatives matter to training, are broadcasts.
    """

    mean: Callable[[jax.Array], jax.Array]
    """Over the channels, (..., channels) to (..., 1)."""
    to_channels: Callable[[jax.Array, int], jax.Array]
    """(..., 1) to (..., channels)."""
    to_positions: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    """(1, ..., channels) to a shape (..., channels)."""


class _Form(NamedTuple):
    """What a normalisation is besides its arguments."""

    sums: _Sums
    epsilon: float
    centered: bool


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normalize(
    form: _Form, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> jax.Array:
    return _standardize(form, x)[0] * scale + bias


@_normalize.defjvp
def _normalize_jvp(
    form: _Form,
    primals: tuple[jax.Array, jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    x, scale, bias = primals
    x_dot, scale_dot, bias_dot = tangents
    standard, inverse_deviation = _standardize(form, x)
    sums = form.sums
    channels = x.shape[-1]
    along = sums.to_channels(_mean(standard * x_dot), channels)
    rest = x_dot if form.centered else x_dot - sums.to_channels(_mean(x_dot), channels)
    standard_dot = inverse_deviation * (rest - standard * along)
    scale_dot = sums.to_positions(scale_dot, x.shape)
    bias_dot = sums.to_positions(bias_dot, x.shape)
    return (
        standard * scale + bias,
        standard_dot * scale + standard * scale_dot + bias_dot,
    )


def _standardize(form: _Form, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    sums, epsilon, centered = form
    if centered:
        inverse_deviation = jax.lax.rsqrt(sums.mean(x * x) + epsilon)
        return x * inverse_deviation, inverse_deviation
    mean = sums.mean(x)
    # One pass over x, as nnx.LayerNorm does; rounding can make it negative.
    variance = jnp.maximum(sums.mean(x * x) - mean * mean, 0)
    inverse_deviation = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * inverse_deviation, inverse_deviation


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=-1, keepdims=True)


def _parts(channels: int) -> int:
    """In how many parts a CPU adds channels up before it sums those of one part."""
    return channels // SUMMED_AT_ONCE if channels % SUMMED_AT_ONCE == 0 else 1


def _mean_on_cpu(x: jax.Array) -> jax.Array:
    """Parts are added, and then halves: such additions are vectorised, a sum is not.

    In the derivative, whose sums are fused with products, halves were the slower ones.
    """
    channels = x.shape[-1]
    total = _add(jnp.split(x, _parts(channels), axis=-1))
    while total.shape[-1] % 2 == 0:
        total = _add(jnp.split(total, 2, axis=-1))
    return jnp.sum(total, axis=-1, keepdims=True) / channels


def _add(arrays: Sequence[jax.Array]) -> jax.Array:
    return reduce(jnp.add, arrays)


def _to_channels_on_cpu(x: jax.Array, channels: int) -> jax.Array:
    parts = _parts(channels)
    part = jnp.broadcast_to(x, (*x.shape[:-1], channels // parts))
    return jnp.concatenate([part] * parts, axis=-1)


def _to_positions_on_cpu(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Copies of a product with ones, whose derivative is a sum of parts and a product.

    A plain sum over positions takes ten times as long as the product, and the product
    alone, unlike the sum of parts, has what it sums written to memory first.
    """
    positions = math.prod(shape[:-1])
    is_known = isinstance(positions, int)  # not so of a symbolic batch
    parts = math.gcd(positions, ADDED_AT_ONCE) if is_known else 1
    column = jnp.ones((positions // parts, 1), x.dtype)
    part = column @ x.reshape(1, -1)
    return jnp.concatenate([part] * parts).reshape(shape)


_PLAIN = _Sums(
    mean=_mean,
    to_channels=lambda x, channels: jnp.broadcast_to(x, (*x.shape[:-1], channels)),
    to_positions=jnp.broadcast_to,
)
_ON_CPU = _Sums(_mean_on_cpu, _to_channels_on_cpu, _to_positions_on_cpu)
