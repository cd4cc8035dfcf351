r"""Averages over inputs that were not trained on, in closed form, and their limits.

For such an input the pre-activations and :math:`z = \beta \cdot x` are normal; the
overlaps are their covariances. As ν grows, training examples have the same averages, if
the effect of training on an example is subtracted from its pre-activations. The
averages are derived from `polynomial.theory`; centred, they are those of the network
minus the initial network.
"""

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft.setting import Overlaps, Setting
from experiments.lazy_rich.polynomial.theory import LossTerms


def loss_terms(overlaps: Overlaps, setting: Setting, *, center: bool) -> LossTerms:
    """The test loss in its three terms, as of `polynomial.theory`.

    Args:
      overlaps: now.
      setting: of the network.
      center: whether the output is less that of the initial network.
    """
    scale = setting.alpha / setting.width
    curvature = scale * setting.epsilon
    change, crossed = overlaps.change, overlaps.change_initial
    if center:
        along = overlaps.target_change @ (2 * overlaps.target + overlaps.target_change)
        trace = 2 * jnp.trace(crossed) + jnp.trace(change)
        square = jnp.sum(change * (change + 4 * crossed + 2 * overlaps.initial))
        square += 2 * jnp.sum(crossed * crossed.T)
        mean = jnp.sum(change)
    else:
        along = jnp.sum(jnp.square(overlaps.target + overlaps.target_change))
        trace, mean = jnp.trace(overlaps.now), jnp.sum(overlaps.now)
        square = jnp.sum(jnp.square(overlaps.now))
    return LossTerms(
        variance=jnp.square(1 - curvature * trace) / 4,
        misalignment=(1 - 2 * curvature * along + curvature**2 * square) / 2,
        linear=scale**2 * mean,
    )


def mean_residual(overlaps: Overlaps, setting: Setting, *, center: bool) -> jax.Array:
    """Of the target less the output, shape ()."""
    trace = 2 * jnp.trace(overlaps.change_initial) + jnp.trace(overlaps.change)
    if not center:
        trace += jnp.trace(overlaps.initial)
    curvature = setting.alpha * setting.epsilon / setting.width
    return (1 - curvature * trace) / 2


def mean_response(overlaps: Overlaps, setting: Setting, *, center: bool) -> jax.Array:
    """Response of g_i to the pre-activation j of the same step, shape (N, N)."""
    residual = mean_residual(overlaps, setting, center=center)
    slopes = (1 + setting.epsilon**2 * overlaps.now) / setting.width
    return setting.epsilon / setting.alpha * residual * jnp.eye(setting.width) - slopes


def mean_initial_response(overlaps: Overlaps, setting: Setting) -> jax.Array:
    """Response of g_i to the centred network's first pre-activation j: (N, N)."""
    return (1 + setting.epsilon**2 * overlaps.past) / setting.width


def mean_target_response(overlaps: Overlaps, setting: Setting) -> jax.Array:
    """Response of g_i to z, shape (N,)."""
    overlap = overlaps.target + overlaps.target_change
    return setting.epsilon / setting.alpha * overlap


def scaled_alignment(overlaps: Overlaps, setting: Setting) -> jax.Array:
    r"""The centred alignment of the tangent kernel with the target, times √D: ().

    The alignment itself falls as :math:`1 / \sqrt D`, since a kernel sees the more
    directions the more there are.
    """
    along = jnp.mean(jnp.square(overlaps.target + overlaps.target_change))
    square = setting.epsilon**2
    power = 1 + 2 * square * jnp.mean(overlaps.now)
    power += square**2 * jnp.mean(jnp.square(overlaps.now))
    return 2 * square * along / jnp.sqrt(power)
