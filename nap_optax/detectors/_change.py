"""Detectors of a lasting change in the level of a stream of values."""

from __future__ import annotations

from typing import NamedTuple

import jax

from nap_optax.detectors._baseline import Baseline, BaselineOptions
from nap_optax.detectors._evidence import Direction, EvidenceOptions, gathering
from nap_optax.detectors._protocol import Detector

__all__ = ["CusumState", "PageHinkleyState", "cusum", "page_hinkley"]

Number = float | jax.Array


class CusumState(NamedTuple):
    """State of :func:`cusum`."""

    cusum_up: jax.Array  # shape=(), dtype=float32: evidence of a rise
    cusum_down: jax.Array  # shape=(), dtype=float32: evidence of a fall
    cusum_baseline: Baseline


class PageHinkleyState(NamedTuple):
    """State of :func:`page_hinkley`."""

    page_hinkley_up: jax.Array  # shape=(), dtype=float32: evidence of a rise
    page_hinkley_down: jax.Array  # shape=(), dtype=float32: evidence of a fall
    page_hinkley_baseline: Baseline


def cusum(
    threshold: Number = 20.0,
    drift: Number = 0.55,
    *,
    direction: Direction = "up",
    horizon: Number = 200.0,
    warmup_steps: int | jax.Array = 400,
    clip: Number = 4.0,
    max_correlation: Number = 0.8,
    freeze_above: Number = 0.15,
) -> Detector:
    r"""Fires when values stay above the forecast from their own trend.

    .. math::

        z_t = \frac{\ell_t - \hat\ell_t}{\hat\sigma_t}, \qquad
        S_t = \max(0,\ S_{t-1} + z_t - \text{drift}), \qquad
        \text{alarm if } S_t > \text{threshold}

    with :math:`z` clipped, so that no single outlier fires. The forecast
    :math:`\hat\ell` is an exponentially weighted mean plus its own weighted mean error
    (the lag behind a trend), so it follows a loss that falls for thousands of updates.
    :math:`\hat\sigma` is the long-run standard deviation: that of the forecast's errors
    times :math:`\sqrt{(1 + c) / (1 - c)}`, where c is the correlation of successive
    errors. Both stand still while there is evidence of a change.

    Alarms depend neither on the scale nor on the offset of the values, which may have
    either sign. Differences of less than about 1e-6 of a value count as rounding. A
    value that is NaN or infinite is ignored and counted. After an alarm the detector
    starts afresh, and the next alarm comes after ``warmup_steps`` values at the
    earliest. Choose them long enough to outlast the effect of the re-warm on the loss.

    The defaults are measured in ``docs/detectors.md``.

    Args:
      threshold: evidence at which to fire. Higher means fewer false alarms and longer
        delays.
      drift: the deviation, in long-run standard deviations, above which a value is
        evidence.
      direction: the changes to detect: ``"up"``, ``"down"`` or ``"both"``. Static.
      horizon: updates over which mean, lag and noise are averaged.
      warmup_steps: values to learn from before any evidence is gathered; the lag needs
        about two horizons.
      clip: the largest deviation of one value, in standard deviations of one value.
      max_correlation: the largest correlation of successive values allowed for; 0
        assumes independent noise.
      freeze_above: share of the threshold above which nothing is learned; 1 for never.

    Returns:
      A detector whose ``update`` needs a value: pass ``value=loss`` to the
      optimizer's ``update``. Its state counts ignored values since the last alarm as
      ``num_ignored_values``. All numbers may be traced.

    Raises:
      ValueError: if a concrete argument is out of range; in ``update`` if the value is
        missing or no real scalar.

    Examples:
      >>> import jax, jax.numpy as jnp
      >>> from nap_optax import cusum
      >>> t = jnp.arange(3000)
      >>> noise = 0.1 * jax.random.normal(jax.random.key(0), (3000,))
      >>> loss = 2 * jnp.exp(-t / 800) + 0.5 * (t >= 2000) + noise
      >>> detector = cusum()
      >>> _, fired = jax.lax.scan(detector.update, detector.init(), loss)
      >>> print(fired.sum(), fired[2000:2010].any())
      1 True

    References:
      Page, `Continuous Inspection Schemes
      <https://doi.org/10.1093/biomet/41.1-2.100>`_, 1954

      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, algorithm 1
    """
    evidence = EvidenceOptions(threshold, drift, direction, warmup_steps, freeze_above)
    options = BaselineOptions(horizon, clip, max_correlation, follows_trend=True)
    return gathering(CusumState, evidence, options)


def page_hinkley(
    threshold: Number = 40.0,
    drift: Number = 0.15,
    *,
    direction: Direction = "up",
    horizon: Number = 200.0,
    warmup_steps: int | jax.Array = 400,
    clip: Number = 4.0,
    max_correlation: Number = 0.8,
    freeze_above: Number = 0.25,
    scale: Number | None = None,
) -> Detector:
    r"""Fires when values stay above their own mean.

    .. math::

        m_t = \sum_{i \le t} \left(\frac{\ell_i - \bar\ell_i}{\hat\sigma_i}
            - \text{drift}\right), \qquad
        \text{alarm if } m_t - \min_{i \le t} m_i > \text{threshold}

    It is the recursion of :func:`cusum`, :math:`S_t = m_t - \min m`, but about the mean
    :math:`\bar\ell_i` of the values up to and including the i-th. That mean trails
    behind a trend: on a falling loss, only values above the trailing mean are evidence
    of a rise, and the fall itself is evidence for ``direction="down"``. It suits values
    without a trend, such as TD errors.

    ``page_hinkley(threshold, drift, horizon=math.inf, clip=1e6, freeze_above=1,
    scale=1)`` is the textbook test: the mean of all values since the last alarm, in the
    values' own unit, nothing clipped.

    Args:
      threshold: evidence at which to fire.
      drift: the deviation above which a value is evidence (often called delta).
      direction: the changes to detect: ``"up"``, ``"down"`` or ``"both"``. Static.
      horizon: updates over which mean and noise are averaged; ``math.inf`` for all
        since the last alarm.
      warmup_steps: values to learn from before any evidence is gathered.
      clip: the largest deviation of one value, in standard deviations of one value.
      max_correlation: the largest correlation of successive values allowed for.
      freeze_above: share of the threshold above which nothing is learned; 1 for never.
      scale: the unit of deviations; ``None`` estimates the noise's long-run standard
        deviation.

    Returns:
      A detector whose ``update`` needs a value; see :func:`cusum`.

    Raises:
      ValueError: if a concrete argument is out of range; in ``update`` if the value is
        missing or no real scalar.

    Examples:
      >>> import math
      >>> from nap_optax import page_hinkley
      >>> detector = page_hinkley(
      ...     1.0, 0.0, horizon=math.inf, warmup_steps=1, freeze_above=1, scale=1.0
      ... )
      >>> state = detector.init()
      >>> for value in (0.0, 0.0, 1.0, 1.0):
      ...     state, fired = detector.update(state, value)
      ...     print(f"{state.page_hinkley_up:.2f}", bool(fired))
      0.00 False
      0.00 False
      0.67 False
      0.00 True

    References:
      Page, `Continuous Inspection Schemes
      <https://doi.org/10.1093/biomet/41.1-2.100>`_, 1954

      Hinkley, `Inference About the Change-Point from Cumulative Sum Tests
      <https://doi.org/10.1093/biomet/58.3.509>`_, 1971
    """
    evidence = EvidenceOptions(threshold, drift, direction, warmup_steps, freeze_above)
    options = BaselineOptions(horizon, clip, max_correlation, False, scale)
    return gathering(PageHinkleyState, evidence, options)
