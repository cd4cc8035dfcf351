"""Gathers evidence of a change until it is enough: the recursion of Page's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _checks
from nap_optax.detectors import _baseline
from nap_optax.detectors._baseline import Baseline, BaselineOptions, as_float
from nap_optax.detectors._protocol import Detector

__all__ = ["Direction", "EvidenceOptions", "gathering"]

Direction = Literal["up", "down", "both"]


class EvidenceOptions(NamedTuple):
    """Options of gathering evidence; the numbers may be traced."""

    threshold: Any  # evidence at which to fire
    drift: Any  # deviation above which a value is evidence
    direction: Direction
    warmup_steps: Any  # values before any is gathered
    freeze_above: Any  # share of the threshold above which the baseline stands still


def gathering(
    state_type: Callable[..., Any], options: EvidenceOptions, baseline: BaselineOptions
) -> Detector:
    """A detector that sums the deviations from a baseline.

    Args:
      state_type: a NamedTuple of the evidence of a rise, that of a fall, and the
        baseline; named after the detector.
      options: how evidence is gathered.
      baseline: how the baseline is estimated.

    Returns:
      A detector with states of that type.

    Raises:
      ValueError: if a concrete option is out of range; in ``update`` if the value is
        missing or no real scalar.
    """
    _check_ranges(options, baseline)

    def init() -> Any:
        return state_type(
            jnp.zeros([], jnp.float32), jnp.zeros([], jnp.float32), _baseline.start()
        )

    def update(state: Any, value: Any) -> tuple[Any, jax.Array]:
        value = _as_scalar(value)
        up, down, before = state
        threshold = as_float(options.threshold)
        learning = jnp.maximum(up, down) <= as_float(options.freeze_above) * threshold
        after, deviation, counts = _baseline.read(before, value, learning, baseline)
        num_values = after.baseline_count.astype(jnp.float32)
        watched = counts & (num_values > as_float(options.warmup_steps))
        if options.direction != "down":
            up = jnp.where(watched, _added(up, deviation, options), up)
        if options.direction != "up":
            down = jnp.where(watched, _added(down, -deviation, options), down)
        fired = jnp.maximum(up, down) > threshold
        fresh = state_type(*init()[:2], _first(value, baseline))
        return optax.tree.where(fired, fresh, state_type(up, down, after)), fired

    return Detector(init, update)


def _added(
    evidence: jax.Array, deviation: jax.Array, options: EvidenceOptions
) -> jax.Array:
    return jnp.maximum(evidence + deviation - as_float(options.drift), 0.0)


def _first(value: jax.Array, options: BaselineOptions) -> Baseline:
    """The baseline that has read only this value."""
    return _baseline.read(_baseline.start(), value, True, options)[0]


def _as_scalar(value: Any) -> jax.Array:
    if value is None:
        raise ValueError(
            "this detector reads a value, such as the loss: call "
            "update(updates, state, params, value=loss)"
        )
    try:
        dtype = jnp.result_type(value)
        real = not np.shape(value) and not jnp.issubdtype(dtype, jnp.complexfloating)
    except (TypeError, ValueError):
        real = False
    if not real:
        raise ValueError(
            f"value={_checks.shown(value)}: must be a real scalar, such as the mean "
            "loss"
        )
    # A value too large for float32 becomes infinite, and is then ignored and counted.
    with np.errstate(over="ignore"):
        return jnp.asarray(value, jnp.float32)


def _check_ranges(options: EvidenceOptions, baseline: BaselineOptions) -> None:
    if not isinstance(options.direction, str) or (
        options.direction not in get_args(Direction)
    ):
        raise ValueError(
            f"direction={_checks.shown(options.direction)}: must be 'up', 'down' or "
            "'both'"
        )
    check = _checks.scalar
    _checks.positive("threshold", options.threshold)
    _checks.finite("drift", options.drift, 0)
    _checks.count("warmup_steps", options.warmup_steps)
    check("freeze_above", options.freeze_above, "in [0, 1]", lambda x: 0 <= x <= 1)
    check("horizon", baseline.horizon, "1 or more", lambda x: x >= 1)
    _checks.positive("clip", baseline.clip)
    check(
        "max_correlation", baseline.max_correlation, "in [0, 1)", lambda x: 0 <= x < 1
    )
    if baseline.known_scale is not None:
        _checks.positive("scale", baseline.known_scale)
