"""LayerNorm over the channels of each position, with a derivative that is cheap."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = ["ChannelNorm"]


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
    differentiable in both modes and to any order (``benchmarks/image_step.py``
    compares them).

    Args:
      channels: length of the last axis.
      epsilon: added to the variance.
      rngs: random number generators, of which none is used.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-6, rngs: nnx.Rngs) -> None:
        super().__init__(channels, epsilon=epsilon, rngs=rngs)

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
        normalized = _normalize(self.epsilon, precise, scale, bias)
        return normalized.astype(jnp.result_type(x, scale, bias))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normalize(
    epsilon: float, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> jax.Array:
    return _standardize(epsilon, x)[0] * scale + bias


@_normalize.defjvp
def _normalize_jvp(
    epsilon: float,
    primals: tuple[jax.Array, jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    x, scale, bias = primals
    x_dot, scale_dot, bias_dot = tangents
    standard, inverse_deviation = _standardize(epsilon, x)
    along = _mean(standard * x_dot)
    standard_dot = inverse_deviation * (x_dot - _mean(x_dot) - standard * along)
    return (
        standard * scale + bias,
        standard_dot * scale + standard * scale_dot + bias_dot,
    )


def _standardize(epsilon: float, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = _mean(x)
    # One pass over x, as nnx.LayerNorm does; rounding can make it negative.
    variance = jnp.maximum(_mean(x * x) - mean * mean, 0)
    inverse_deviation = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * inverse_deviation, inverse_deviation


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=-1, keepdims=True)
