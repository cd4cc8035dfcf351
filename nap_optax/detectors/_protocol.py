"""The protocol of detectors, and the rule by which any alarm takes effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks

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
      ValueError: if ``detector`` is no detector, ``step`` is no number, ``state`` is
        not like the result of the detector's ``init``, or ``signal`` or the detector's
        alarm is not a boolean scalar.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.detectors import on_signal
      >>> _, fired = observe(on_signal(), (), jnp.int32(7), signal=True)
      >>> bool(fired)
      True
    """
    check_detector(detector)
    _checks.scalar("step", step)
    signal = _boolean("rewarm", signal, " (signal of observe)")
    fresh = detector.init()
    _check_state(state, fresh)
    state = optax.tree.where(signal, fresh, state)
    state, fired = detector.update(state, value)
    return state, (_boolean("the detector's alarm", fired) | signal) & (step > 0)


def check_detector(detector: Any) -> None:
    """Raises unless it is a detector."""
    if not isinstance(detector, Detector) or not all(map(callable, detector)):
        raise ValueError(
            f"detector={_checks.shown(detector)}: must be a Detector, such as "
            "every(1000), or None"
        )


def _check_state(state: Any, fresh: Any) -> None:
    """Raises unless the state is like the detector's first state."""

    def types(tree: Any) -> list[Any]:
        arrays = map(jnp.asarray, jax.tree.leaves(tree))
        kinds = (jnp.inexact, jnp.integer, jnp.bool_)
        return [
            (x.shape, [jnp.issubdtype(x.dtype, kind) for kind in kinds]) for x in arrays
        ]

    own: Any = jax.tree.structure(state)
    try:
        fits = own == jax.tree.structure(fresh) and types(state) == types(fresh)
    except (OverflowError, TypeError, ValueError):  # some leaves are no numbers
        fits = False
    if not fits:
        raise ValueError(
            f"state={_checks.shown(state)}: must be what init of the detector gives"
        )


def _boolean(name: str, value: Any, also: str = "") -> jax.Array:
    try:
        dtype = jnp.result_type(value)
        # Also integers, because a flag may come as 0 or 1 from numpy or a file.
        known = jnp.issubdtype(dtype, jnp.bool_) or jnp.issubdtype(dtype, jnp.integer)
    except (TypeError, ValueError):
        known = False
    if value is None or not known or jnp.shape(value):
        raise ValueError(
            f"{name}={_checks.shown(value)}: must be a boolean or a boolean array of "
            f"shape (){also}"
        )
    return jnp.asarray(value, bool)
