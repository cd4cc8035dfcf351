"""LayerNorm over the channels of each position, with a cheap derivative."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from models.cpu import sums as cpu_sums

__all__ = ["CenteredChannelNorm", "ChannelNorm"]


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
    ``nnx.LayerNorm``. To differentiate that, XLA stores every step of the formula. Here
    the derivative is written in closed form, and remains differentiable in both modes
    and to any order. On a CPU the sums over channels and over positions also have the
    form that XLA computes fastest (``benchmarks/images/step.py`` compares them).

    Args:
      channels: length of the last axis.
      epsilon: number added to the variance.
      use_bias: whether to have ``bias``; without, β = 0.
      rngs: random number generators. No value depends on them.
    """

    _is_centered = False

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-6,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        super().__init__(channels, epsilon=epsilon, use_bias=use_bias, rngs=rngs)
        if not use_bias:
            rngs.params()  # so that later layers start alike with and without

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """Normalises each position.

        Args:
          x: shape ``(..., channels)``, floating.

        Returns:
          An array of the same shape, in the dtype that x and the parameters promote
          to; float16 and bfloat16 are normalised in float32.
        """
        assert self.scale is not None
        of_channels = (1,) * (x.ndim - 1) + (-1,)
        scale = self.scale[...].reshape(of_channels)
        bias = jnp.zeros_like(scale)
        if self.bias is not None:
            bias = self.bias[...].reshape(of_channels)
        precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        normalized = jax.lax.platform_dependent(
            precise,
            scale.astype(precise.dtype),
            bias.astype(precise.dtype),
            cpu=self._normalizer(_ON_CPU),
            default=self._normalizer(_PLAIN),
        )
        return normalized.astype(jnp.result_type(x, scale, bias))

    def _normalizer(self, sums: _Sums) -> Callable[..., jax.Array]:
        return partial(_normalize, _Formula(sums, self.epsilon, self._is_centered))


class CenteredChannelNorm(ChannelNorm):
    """A ChannelNorm for inputs with a mean of 0 over the channels.

    It does not compute that mean, so it is wrong for any other inputs.
    :func:`models.layers.conv_norm` puts it behind a centred convolution; together they
    have the derivatives of a LayerNorm.
    """

    _is_centered = True


class _Sums(NamedTuple):
    """Forms of sums over an axis.

    The last two are broadcasts. Their derivatives are sums, and only these matter to
    training.
    """

    mean: Callable[[jax.Array], jax.Array]
    """The mean over the channels, (..., channels) to (..., 1)."""
    to_channels: Callable[[jax.Array, int], jax.Array]
    """The broadcast from (..., 1) to (..., channels)."""
    to_positions: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    """The broadcast from (1, ..., channels) to a shape (..., channels)."""


class _Formula(NamedTuple):
    """The static parts of a normalisation."""

    sums: _Sums
    epsilon: float
    centered: bool


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normalize(
    form: _Formula, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> jax.Array:
    return _standardize(form, x)[0] * scale + bias


@_normalize.defjvp
def _normalize_jvp(
    form: _Formula,
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


def _standardize(form: _Formula, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    sums, epsilon, centered = form
    if centered:
        inverse_deviation = jax.lax.rsqrt(sums.mean(x * x) + epsilon)
        return x * inverse_deviation, inverse_deviation
    mean = sums.mean(x)
    # One pass over x, as in nnx.LayerNorm; rounding can make it negative.
    variance = jnp.maximum(sums.mean(x * x) - mean * mean, 0)
    inverse_deviation = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * inverse_deviation, inverse_deviation


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=-1, keepdims=True)


_PLAIN = _Sums(
    mean=_mean,
    to_channels=lambda x, channels: jnp.broadcast_to(x, (*x.shape[:-1], channels)),
    to_positions=jnp.broadcast_to,
)
_ON_CPU = _Sums(cpu_sums.mean, cpu_sums.to_channels, cpu_sums.to_positions)
