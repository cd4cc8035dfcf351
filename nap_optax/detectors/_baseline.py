"""Forecasts the next value of a stream and measures its deviation."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

__all__ = ["Baseline", "BaselineOptions", "as_float", "read", "start"]

# With fewer values, their standard deviation would clip the next ones too hard.
_MIN_VALUES_TO_CLIP = 10
# Least noise, relative to the loss: a mean in float32 is exact to a few units in its
# last place.
_RESOLUTION = 2.0**-20


class Baseline(NamedTuple):
    """Exponentially weighted estimates of level, lag and noise; all of shape ()."""

    baseline_count: jax.Array  # shape=(), dtype=int32: finite values read
    baseline_mean: jax.Array  # shape=(), dtype=float32
    baseline_mean_remainder: jax.Array  # shape=(), dtype=float32: below its last bit
    baseline_lag: jax.Array  # shape=(), dtype=float32: of the mean behind the values
    baseline_scale: jax.Array  # shape=(), dtype=float32: the noise's std. deviation
    baseline_correlation: jax.Array  # shape=(), dtype=float32: of successive noise
    baseline_residual: jax.Array  # shape=(), dtype=float32: of the last value, clipped
    num_ignored_values: jax.Array  # shape=(), dtype=int32: NaN or infinite ones


class BaselineOptions(NamedTuple):
    """Options of the estimates of a baseline; the numbers may be traced."""

    horizon: Any  # updates over which values are averaged
    clip: Any  # the largest deviation of one value, in standard deviations
    max_correlation: Any  # largest correlation of noise allowed for
    follows_trend: bool  # whether a deviation is from the mean plus its lag
    known_scale: Any = None  # the noise's standard deviation; None: estimate


def start() -> Baseline:
    """A baseline that has read nothing."""
    # One array for each field: a buffer can be donated only once.
    integers = ("baseline_count", "num_ignored_values")
    return Baseline(
        **{
            name: jnp.zeros([], jnp.int32 if name in integers else jnp.float32)
            for name in Baseline._fields
        }
    )


def read(
    baseline: Baseline, value: jax.Array, learning: Any, options: BaselineOptions
) -> tuple[Baseline, jax.Array, jax.Array]:
    """Reads one value.

    Args:
      baseline: the baseline before the value.
      value: the value, float32 of shape ().
      learning: whether the value may change the estimates, boolean of shape ().
      options: how they are estimated.

    Returns:
      The new baseline; the deviation of the value from the old baseline in long-run
      standard deviations, shape (); and whether the value counts. A NaN or an infinity
      does not count and only raises ``num_ignored_values``.
    """
    # The first value is the mean, so the offset of the values does not matter.
    mean = jnp.where(baseline.baseline_count == 0, value, baseline.baseline_mean)
    error = (value - mean) - baseline.baseline_mean_remainder
    counts = jnp.isfinite(value) & jnp.isfinite(error)
    lag = baseline.baseline_lag if options.follows_trend else jnp.zeros_like(error)
    residual = error - lag

    count = optax.safe_increment(baseline.baseline_count)
    weight = jnp.maximum(1 / count.astype(jnp.float32), 1 / as_float(options.horizon))
    weight = jnp.where(learning, weight, 0.0)
    scale = jnp.maximum(baseline.baseline_scale, _RESOLUTION * jnp.abs(mean))
    clipped = jnp.where(
        (count < _MIN_VALUES_TO_CLIP) | (scale == 0),
        residual,
        _ratio(residual, scale, options) * scale,
    )
    learned = _learn(baseline._replace(baseline_mean=mean), clipped, lag, weight)
    learned = learned._replace(baseline_count=count)
    # Values near the end of float32's range must not make estimates infinite.
    for estimate in (
        learned.baseline_mean,
        learned.baseline_lag,
        learned.baseline_scale,
    ):
        counts &= jnp.isfinite(estimate)
    ignored = baseline._replace(
        num_ignored_values=optax.safe_increment(baseline.num_ignored_values)
    )
    if options.known_scale is None:
        deviation = _ratio(residual, scale, options)
        deviation *= _long_run_factor(baseline.baseline_correlation, options)
    else:
        deviation = _ratio(residual, as_float(options.known_scale), options)
    if not options.follows_trend:
        deviation *= 1 - weight  # of the value from a mean that includes it
    return optax.tree.where(counts, learned, ignored), deviation, counts


def _learn(
    baseline: Baseline, residual: jax.Array, lag: jax.Array, weight: jax.Array
) -> Baseline:
    """The estimates after a residual that is already clipped."""
    # If the noise is small beside the mean, the mean moves by less than its last bit.
    step = baseline.baseline_mean_remainder + weight * (residual + lag)
    mean = baseline.baseline_mean + step
    remainder = step - (mean - baseline.baseline_mean)
    # Not the variance, because squares would leave the range of float32.
    old = baseline.baseline_scale
    scale = jnp.sqrt(1 - weight) * jnp.hypot(old, jnp.sqrt(weight) * residual)
    unit = jnp.where(scale > 0, scale, 1.0)
    previous = baseline.baseline_residual
    correlation = (1 - weight) * baseline.baseline_correlation * (old / unit) ** 2
    correlation += weight * (residual / unit) * (previous / unit)
    return baseline._replace(
        baseline_mean=mean,
        baseline_mean_remainder=remainder,
        baseline_lag=lag + weight * residual,
        baseline_scale=scale,
        baseline_correlation=jnp.clip(correlation, -1.0, 1.0),
        baseline_residual=residual,
    )


def _ratio(
    residual: jax.Array, scale: jax.Array, options: BaselineOptions
) -> jax.Array:
    """The residual in units of the scale, clipped."""
    clip = as_float(options.clip)
    # If there has been no noise, any difference counts as the largest.
    ratio = residual / jnp.where(scale > 0, scale, 1.0)
    ratio = jnp.where(scale > 0, ratio, jnp.sign(residual) * clip)
    return jnp.clip(ratio, -clip, clip)


def _long_run_factor(correlation: jax.Array, options: BaselineOptions) -> jax.Array:
    """The factor of the standard deviation for correlated noise.

    The sum of n values of autoregressive noise with correlation c has about the
    variance n (1 + c) / (1 - c).
    """
    correlation = jnp.clip(correlation, 0.0, as_float(options.max_correlation))
    return jnp.sqrt((1 - correlation) / (1 + correlation))


def as_float(value: Any) -> jax.Array:
    """The value in float32, the dtype of all computations of a detector."""
    return jnp.asarray(value, jnp.float32)
