"""Learning-rate schedules for re-warming, as plain ``optax.Schedule`` functions.

Values and durations may be traced, so a sweep over them compiles once. (Optax's own
linear, cosine and warm-up schedules branch on their durations in Python.) A count is
the number of updates since the schedule began; under
:func:`nap_optax.scale_by_rewarming`, since the last re-warm.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks

__all__ = [
    "cyclic",
    "delayed",
    "growing_cycles",
    "warmup_constant",
    "warmup_cosine_decay",
    "warmup_stable_decay",
]

Scalar = float | jax.Array


def warmup_constant(
    peak_value: Scalar, *, warmup_steps: float | jax.Array, init_value: Scalar = 0.0
) -> optax.Schedule:
    r"""Rises linearly for ``warmup_steps`` updates and stays at the peak.

    Args:
      peak_value: the value from count ``warmup_steps`` on.
      warmup_steps: updates of the warm-up; 0 starts at the peak.
      init_value: the value at count 0 if there is a warm-up.

    Returns:
      A schedule.

    Raises:
      ValueError: if ``warmup_steps`` is concrete and negative.

    Examples:
      >>> schedule = warmup_constant(1.0, warmup_steps=4)
      >>> [float(schedule(t)) for t in (0, 1, 4, 9)]
      [0.0, 0.25, 1.0, 1.0]
    """
    _check_numbers(peak_value=peak_value, init_value=init_value)
    _checks.finite("warmup_steps", warmup_steps, 0)

    def schedule(count: Any) -> jax.Array:
        return _warmed(_as_float(_counted(count)), peak_value, warmup_steps, init_value)

    return schedule


def warmup_cosine_decay(
    peak_value: Scalar,
    *,
    warmup_steps: float | jax.Array,
    decay_steps: int | jax.Array,
    init_value: Scalar = 0.0,
    end_value: Scalar = 0.0,
) -> optax.Schedule:
    r"""Rises linearly, then falls along half a cosine, then stays.

    It is the function of ``optax.warmup_cosine_decay_schedule``, for traced durations:

    .. math::

        \eta(t) = \eta_{end} + (\eta_{peak} - \eta_{end})
            \tfrac12 \left(1 + \cos \pi \tfrac{t - w}{d - w}\right),
            \quad w \le t \le d.

    Args:
      peak_value: the value at the end of the warm-up.
      warmup_steps: updates of the warm-up.
      decay_steps: updates until the end value, *including* the warm-up.
      init_value: the value at count 0.
      end_value: the value from ``decay_steps`` on.

    Returns:
      A schedule.

    Raises:
      ValueError: if ``warmup_steps`` is negative or ``decay_steps`` does not exceed it,
        as far as they are concrete.

    Examples:
      >>> schedule = warmup_cosine_decay(1.0, warmup_steps=2, decay_steps=6)
      >>> [round(float(schedule(t)), 3) for t in (0, 1, 2, 4, 6, 9)]
      [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, appendix A.1
    """
    _check_numbers(peak_value=peak_value, init_value=init_value, end_value=end_value)
    _check_includes("decay_steps", decay_steps, warmup_steps)

    def schedule(count: Any) -> jax.Array:
        count, start = _as_float(_counted(count)), _as_float(warmup_steps)
        decay = _as_float(decay_steps) - start
        # Traced durations may be equal; then the value falls at once.
        share = jnp.where(
            decay > 0, (count - start) / jnp.where(decay > 0, decay, 1), 1
        )
        decayed = _half_cosine(share, peak_value, end_value)
        rising = _warmed(count, peak_value, warmup_steps, init_value)
        return jnp.where(count < start, rising, decayed)

    return schedule


def warmup_stable_decay(
    peak_value: Scalar,
    *,
    warmup_steps: float | jax.Array,
    stable_steps: int | jax.Array,
    cooldown_steps: int | jax.Array,
    init_value: Scalar = 0.0,
    end_value: Scalar = 0.0,
) -> optax.Schedule:
    r"""Rises linearly, stays at the peak, then falls along half a cosine and stays.

    Args:
      peak_value: the value between warm-up and cool-down.
      warmup_steps: updates of the warm-up.
      stable_steps: updates at the peak.
      cooldown_steps: updates of the fall; 0 falls at once.
      init_value: the value at count 0 if there is a warm-up.
      end_value: the value after the cool-down.

    Returns:
      A schedule.

    Raises:
      ValueError: if a concrete duration is negative.

    Examples:
      >>> schedule = warmup_stable_decay(
      ...     1.0, warmup_steps=2, stable_steps=3, cooldown_steps=2
      ... )
      >>> [round(float(schedule(t)), 2) for t in range(9)]
      [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]

    References:
      Hu et al., `MiniCPM: Unveiling the Potential of Small Language Models with
      Scalable Training Strategies <https://arxiv.org/abs/2404.06395>`_, 2024
    """
    _check_numbers(peak_value=peak_value, init_value=init_value, end_value=end_value)
    for name, steps in (
        ("warmup_steps", warmup_steps),
        ("stable_steps", stable_steps),
        ("cooldown_steps", cooldown_steps),
    ):
        _checks.finite(name, steps, 0)

    def schedule(count: Any) -> jax.Array:
        count = _as_float(_counted(count))
        start = _as_float(warmup_steps) + _as_float(stable_steps)
        share = (count - start) / jnp.maximum(_as_float(cooldown_steps), 1)
        falling = _half_cosine(share, peak_value, end_value)
        rising = _warmed(count, peak_value, warmup_steps, init_value)
        after = jnp.where(
            count < start + _as_float(cooldown_steps), falling, _as_float(end_value)
        )
        return jnp.where(count < start, rising, after)

    return schedule


def delayed(
    schedule: optax.Schedule, delay_steps: int | jax.Array, init_value: Scalar
) -> optax.Schedule:
    """Holds an initial value for some updates, then runs a schedule from its beginning.

    Args:
      schedule: the schedule to run from count ``delay_steps`` on.
      delay_steps: updates at the initial value.
      init_value: the value until then.

    Returns:
      A schedule.

    Raises:
      ValueError: if ``schedule`` is not callable, or ``delay_steps`` concrete and
        negative.

    Examples:
      >>> schedule = delayed(warmup_constant(1.0, warmup_steps=2), 3, 0.1)
      >>> [round(float(schedule(t)), 3) for t in range(6)]
      [0.1, 0.1, 0.1, 0.0, 0.5, 1.0]

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, figure 3
    """
    rate = _checks.schedule("schedule", schedule)
    _checks.finite("delay_steps", delay_steps, 0)
    _checks.finite("init_value", init_value)

    def delayed_schedule(count: Any) -> jax.Array:
        count = _counted(count)
        since = jnp.maximum(count - delay_steps, 0)
        running = rate(since)
        return jnp.where(count < delay_steps, _as_float(init_value), running)

    return delayed_schedule


def cyclic(
    peak_value: Scalar,
    *,
    cycle_steps: int | jax.Array,
    warmup_steps: float | jax.Array,
    end_value: Scalar = 0.0,
    num_cycles: int | None = None,
    final_value: Scalar | None = None,
) -> optax.Schedule:
    """Repeats a cycle of linear warm-up and cosine decay.

    Args:
      peak_value: the value at the end of each warm-up.
      cycle_steps: updates in a cycle.
      warmup_steps: updates of the warm-up, at the start of each cycle.
      end_value: the value at the start and the end of each cycle.
      num_cycles: cycles until the schedule ends; ``None`` for no end. Static.
      final_value: the value after the last cycle; ``None`` stays at ``end_value``. (A
        constant after the last cycle is "early stopping of the cycle" in the paper's
        reinforcement-learning runs.)

    Returns:
      A schedule.

    Raises:
      ValueError: if a concrete argument is out of range.

    Examples:
      >>> schedule = cyclic(1.0, cycle_steps=4, warmup_steps=2, num_cycles=2)
      >>> [round(float(schedule(t)), 2) for t in range(10)]
      [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0]

    References:
      Smith, `Cyclical Learning Rates for Training Neural Networks
      <https://arxiv.org/abs/1506.01186>`_, 2017

      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, figures 6, 7, 9 and 10
    """
    return growing_cycles(
        peak_value,
        growth=1.0,
        cycle_steps=cycle_steps,
        warmup_steps=warmup_steps,
        end_value=end_value,
        num_cycles=num_cycles,
        final_value=final_value,
    )


def growing_cycles(
    peak_value: Scalar,
    *,
    growth: Scalar,
    cycle_steps: int | jax.Array,
    warmup_steps: float | jax.Array,
    end_value: Scalar = 0.0,
    num_cycles: int | None = None,
    final_value: Scalar | None = None,
) -> optax.Schedule:
    """Repeats a cycle with a peak that is multiplied by ``growth`` each time.

    Args:
      peak_value: the first cycle's peak.
      growth: the factor of the peak from cycle to cycle (2 in the figure).
      cycle_steps: updates in a cycle.
      warmup_steps: updates of the warm-up, at the start of each cycle.
      end_value: the value at the start and the end of each cycle.
      num_cycles: cycles until the schedule ends; ``None`` for no end. Static.
      final_value: the value after the last cycle; ``None`` stays at ``end_value``.

    Returns:
      A schedule.

    Raises:
      ValueError: if a concrete argument is out of range.

    Examples:
      >>> schedule = growing_cycles(1.0, growth=2.0, cycle_steps=4, warmup_steps=2)
      >>> [round(float(schedule(t)), 2) for t in range(8)]
      [0.0, 0.5, 1.0, 0.5, 0.0, 1.0, 2.0, 1.0]

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, figure 13
    """
    last = end_value if final_value is None else final_value
    _check_numbers(peak_value=peak_value, end_value=end_value, final_value=last)
    _checks.finite("cycle_steps", cycle_steps, 1)
    _check_includes("cycle_steps", cycle_steps, warmup_steps)
    _checks.finite("growth", growth, 0)
    if num_cycles is not None:
        _checks.count("num_cycles", num_cycles)

    def schedule(count: Any) -> jax.Array:
        count = _counted(count)
        cycle = count // cycle_steps
        power = jnp.power(_as_float(growth), _as_float(cycle))
        peak = _within_range(_as_float(peak_value) * _within_range(power))
        value = warmup_cosine_decay(
            peak,
            warmup_steps=warmup_steps,
            decay_steps=cycle_steps,
            init_value=end_value,
            end_value=end_value,
        )(count % cycle_steps)
        if num_cycles is None:
            return value
        return jnp.where(cycle < num_cycles, value, _as_float(last))

    return schedule


def _check_includes(name: str, steps: Any, warmup_steps: Any) -> None:
    """Raises unless there are more updates than those of the warm-up."""
    _checks.finite("warmup_steps", warmup_steps, 0)
    _checks.finite(name, steps, 0)
    start = _checks.concrete("warmup_steps", warmup_steps)
    end = _checks.concrete(name, steps)
    if start is not None and end is not None and end <= start:
        raise ValueError(
            f"{name}={_checks.shown(steps)}: must exceed "
            f"warmup_steps={_checks.shown(warmup_steps)}, which it "
            "includes"
        )


def _warmed(
    count: jax.Array, peak_value: Any, warmup_steps: Any, init_value: Any
) -> jax.Array:
    end = _as_float(warmup_steps)
    # At least 1, so that a warm-up of 0 updates does not divide by zero.
    share = count / jnp.maximum(end, 1)
    init, peak = _as_float(init_value), _as_float(peak_value)
    return jnp.where(count < end, init + (peak - init) * share, peak)


def _half_cosine(share: jax.Array, peak_value: Any, end_value: Any) -> jax.Array:
    peak, end = _as_float(peak_value), _as_float(end_value)
    return end + (peak - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1)))


def _check_numbers(**arguments: Any) -> None:
    for name, value in arguments.items():
        _checks.finite(name, value)


def _counted(count: Any) -> jax.Array:
    """The count as an array; negative counts are 0."""
    _checks.concrete("count", count)
    if isinstance(count, int):
        count = min(max(count, 0), 2**31 - 1)  # as optax counts
    return jnp.maximum(jnp.asarray(count), 0)


def _within_range(value: jax.Array) -> jax.Array:
    # An infinite peak would give a rate of NaN if a cycle begins at 0.
    largest = jnp.finfo(value.dtype).max
    return jnp.clip(value, -largest, largest)


def _as_float(value: Any) -> jax.Array:
    # Arguments may be Python numbers or arrays, which strict promotion does not mix.
    return jnp.asarray(value, float)
