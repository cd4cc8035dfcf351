"""What a detector is, and the rule by which any alarm takes effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

__all__ = ["Detector", "observe"]


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
      ValueError: if ``signal`` or what the detector says is not a boolean scalar.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.detectors import on_signal
      >>> _, fired = observe(on_signal(), (), jnp.int32(7), signal=True)
      >>> bool(fired)
      True
    """
    signal = _boolean("rewarm", signal)
    state = optax.tree.where(signal, detector.init(), state)
    state, fired = detector.update(state, value)
    return state, (_boolean("the detector's alarm", fired) | signal) & (step > 0)


def _boolean(name: str, value: Any) -> jax.Array:
    try:
        dtype = jnp.result_type(value)
        # Integers, too: a flag may come as 0 or 1 from numpy or a file.
        known = jnp.issubdtype(dtype, jnp.bool_) or jnp.issubdtype(dtype, jnp.integer)
    except (TypeError, ValueError):
        known = False
    if value is None or not known or jnp.shape(value):
        raise ValueError(
            f"{name}={value!r}: must be a boolean or a boolean array of shape ()"
        )
    return jnp.asarray(value, bool)
