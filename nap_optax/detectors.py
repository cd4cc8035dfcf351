"""When to re-warm: detectors of a change in the data, as pairs of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

__all__ = ["Detector", "every", "observe", "on_signal", "resolve"]


class Detector(NamedTuple):
    """A pair of pure functions that watch a stream of values and raise alarms.

    Attributes:
      init: ``init() -> state``, a tree of arrays.
      update: ``update(state, value) -> (state, fired)`` with ``value`` a scalar (the
        loss, a TD error, a return) or ``None`` where the caller passes none, and
        ``fired`` a boolean array of shape (). A detector that reads the value raises
        ``ValueError`` without one. After an alarm the returned state starts afresh.
    """

    init: Callable[[], Any]
    update: Callable[[Any, Any], tuple[Any, jax.Array]]


def every(period: int | jax.Array) -> Detector:
    """Fires at a fixed period: at updates ``period``, ``2 * period``, ….

    An alarm raised otherwise (``rewarm=True``) starts the period again.

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
    if not isinstance(period, jax.core.Tracer):
        value = np.asarray(period)
        if np.any(value < 1) or np.any(value % 1 != 0):
            raise ValueError(f"period={period}: must be a whole number of 1 or more")

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
    """The detector, or :func:`on_signal` for none.

    Raises:
      ValueError: if it is something else, such as a factory that was not called.

    Examples:
      >>> resolve(None).init()
      ()
    """
    if detector is None:
        return on_signal()
    if not isinstance(detector, Detector):
        raise ValueError(
            f"detector={detector!r}: must be a Detector, such as every(1000), or None"
        )
    return detector


def observe(
    detector: Detector,
    state: Any,
    step: jax.Array,
    *,
    value: Any = None,
    signal: Any = False,
) -> tuple[Any, jax.Array]:
    """Joins a detector with the caller's own signal: the rule of every alarm here.

    An alarm takes effect in the update that raised it. The first update is never an
    alarm: nothing has begun that could start again. The caller's signal starts the
    detector afresh, with this value as its first, so that one change is not reported
    twice.

    Args:
      detector: the detector.
      state: its state.
      step: updates so far, shape ().
      value: what the detector reads, shape (), or ``None``.
      signal: the caller's own alarm, a boolean or a boolean array of shape ().

    Returns:
      The detector's new state and whether there is an alarm, a boolean of shape ().

    Raises:
      ValueError: if ``signal`` is not a scalar.

    Examples:
      >>> import jax.numpy as jnp
      >>> _, fired = observe(on_signal(), (), jnp.int32(7), signal=True)
      >>> bool(fired)
      True
    """
    if signal is None or jnp.shape(signal):
        raise ValueError(
            f"rewarm={signal!r}: must be a boolean or a boolean array of shape ()"
        )
    signal = jnp.asarray(signal, bool)
    state = optax.tree.where(signal, detector.init(), state)
    state, fired = detector.update(state, value)
    return state, (fired | signal) & (step > 0)
