"""Detectors, and the rule by which any alarm takes effect."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from nap_optax import detectors
from nap_optax.detectors import Detector, every, observe, on_signal


def alarms(detector: Detector, num_updates: int, signals: Any = ()) -> list[int]:
    """The updates of the alarms."""
    state, fired_at = detector.init(), []
    for step in range(num_updates):
        state, fired = observe(
            detector, state, jnp.int32(step), signal=step in signals, value=None
        )
        if fired:
            fired_at.append(step)
    return fired_at


@pytest.mark.parametrize(
    ("period", "want"), [(1, [1, 2, 3, 4, 5, 6, 7, 8]), (3, [3, 6]), (8, [8]), (9, [])]
)
def test_every(period: int, want: list[int]) -> None:
    assert alarms(every(period), 9) == want


def test_a_signal_restarts_the_period() -> None:
    # 3 by itself; 4 by the caller; then 4 + 3 = 7, 10.
    assert alarms(every(3), 12, signals=(4,)) == [3, 4, 7, 10]
    # Together with the detector's own alarm: one alarm.
    assert alarms(every(3), 8, signals=(3,)) == [3, 6]


def test_a_signal_in_the_first_update_is_no_alarm() -> None:
    assert alarms(every(3), 8, signals=(0,)) == [3, 6]
    assert alarms(on_signal(), 8, signals=(0, 5)) == [5]


def test_every_with_traced_and_concrete_arrays() -> None:
    def fires(period: Any) -> Any:
        detector = every(period)
        states, fired = detector.init(), []
        for _ in range(5):
            states, alarm = detector.update(states, None)
            fired.append(alarm)
        return jnp.stack(fired)

    batched = jax.vmap(fires)(jnp.array([1, 2, 4]))
    assert batched.astype(int).tolist() == [
        [0, 1, 1, 1, 1],
        [0, 0, 1, 0, 1],
        [0, 0, 0, 0, 1],
    ]
    # A concrete array may not be compared by jax under jit: it would be traced.
    closed_over = jnp.int32(2)
    assert jax.jit(lambda: fires(closed_over))().tolist() == batched[1].tolist()


def test_detectors_under_scan_keep_their_state() -> None:
    for detector in (every(2), on_signal()):

        def step(state: Any, value: Any, detector: Detector = detector) -> Any:
            return detector.update(state, value)

        state, fired = jax.lax.scan(step, detector.init(), jnp.zeros(5))
        assert fired.shape == (5,)
        assert fired.dtype == bool
        assert jax.tree.structure(state) == jax.tree.structure(detector.init())


def test_a_signal_gives_the_detector_this_value_first() -> None:
    # A detector that remembers the values since it began, as a sum.
    summing = Detector(
        init=lambda: jnp.zeros([]),
        update=lambda total, value: (total + value, jnp.zeros([], bool)),
    )
    state = summing.init()
    for step, value in enumerate((1.0, 2.0, 4.0)):
        state, _ = observe(
            summing, state, jnp.int32(step), value=value, signal=value == 4.0
        )
    assert float(state) == 4.0


@pytest.mark.parametrize("period", [0, -1, 2.5, jnp.int32(0)])
def test_wrong_period(period: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number of 1 or more"):
        every(period)


def test_public_names() -> None:
    assert set(detectors.__all__) <= set(dir(detectors))


@pytest.mark.parametrize("period", [True, "3", None, [2, 3], 2**31, float("inf"), 1.5])
def test_periods_that_are_refused(period: Any) -> None:
    with pytest.raises(ValueError, match=r"period=.*: must be a whole number of 1 or"):
        every(period)


@pytest.mark.parametrize("signal", ["yes", 0.5, float("nan"), None, [True]])
def test_signals_that_are_refused(signal: Any) -> None:
    with pytest.raises(ValueError, match=r"rewarm=.*: must be a boolean"):
        observe(on_signal(), (), jnp.int32(1), signal=signal)


def test_what_a_detector_says_is_a_boolean() -> None:
    def saying(fired: Any) -> Detector:
        return Detector(lambda: (), lambda state, _: (state, fired))

    _, fired = observe(saying(jnp.int32(2)), (), jnp.int32(1))
    assert bool(fired)
    for wrong in (jnp.ones(1, bool), jnp.float32(1)):
        with pytest.raises(ValueError, match=r"the detector's alarm=.*: must be"):
            observe(saying(wrong), (), jnp.int32(1))
