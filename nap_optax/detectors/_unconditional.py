"""Detectors that read no value: a fixed period, and the caller's own signal."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks
from nap_optax.detectors._protocol import Detector, check_detector

__all__ = ["every", "on_signal", "resolve"]


def every(period: int | jax.Array) -> Detector:
    """Fires at a fixed period: at updates ``period``, ``2 * period``, ….

    An alarm by ``rewarm=True`` starts the period again.

    Args:
      period: updates from one alarm to the next; may be traced.

    Returns:
      A detector that ignores the value.

    Raises:
      ValueError: if ``period`` is concrete and less than 1.

    Examples:
      >>> detector = every(2)
      >>> state = detector.init()
      >>> for _ in range(5):
      ...     state, fired = detector.update(state, None)
      ...     print(bool(fired), end=" ")
      False False True False True

    References:
      Smith, `Cyclical Learning Rates for Training Neural Networks
      <https://arxiv.org/abs/1506.01186>`_, 2017
    """
    _checks.count("period", period)

    def update(state: jax.Array, value: Any) -> tuple[jax.Array, jax.Array]:
        del value
        fired = state >= jnp.asarray(period, state.dtype)
        return jnp.where(fired, 1, optax.safe_increment(state)), fired

    # The state counts the updates since the last alarm.
    return Detector(init=lambda: jnp.zeros([], jnp.int32), update=update)


def on_signal() -> Detector:
    """Never fires by itself: the caller decides, by ``rewarm=True``.

    Returns:
      A detector that ignores the value.

    Examples:
      >>> detector = on_signal()
      >>> _, fired = detector.update(detector.init(), None)
      >>> bool(fired)
      False
    """

    def update(state: tuple[()], value: Any) -> tuple[tuple[()], jax.Array]:
        del value
        return state, jnp.zeros([], bool)

    return Detector(init=tuple, update=update)


def resolve(detector: Detector | None) -> Detector:
    """The detector, or :func:`on_signal` for ``None``.

    Raises:
      ValueError: if it is something else, such as a factory that was not called.

    Examples:
      >>> resolve(None).init()
      ()
    """
    if detector is None:
        return on_signal()
    check_detector(detector)
    return detector
