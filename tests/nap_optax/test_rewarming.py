"""Re-warming and restarting, update by update."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from nap_optax import every, restart, scale_by_rewarming, schedules
from nap_optax.detectors import Detector

ONES = jnp.ones(2)


def halving(count: Any) -> Any:
    """1, 1/2, 1/4, ...: exact in floating point."""
    return jnp.exp2(-jnp.asarray(count, float))


def above(threshold: float) -> Detector:
    """Fires where the value exceeds a threshold; its state counts the values seen."""

    def update(seen: Any, value: Any) -> Any:
        if value is None:
            raise ValueError("this detector reads the loss: call update(..., value=)")
        fired = jnp.asarray(value) > threshold
        return jnp.where(fired, 0, seen + 1), fired

    return Detector(init=lambda: jnp.zeros([], jnp.int32), update=update)


def rates(
    tx: Any, num_updates: int, signals: Sequence[int] = (), values: Any = None
) -> tuple[list[float], Any]:
    """What each update was scaled by, and the last state."""
    state, factors = tx.init(ONES), []
    for step in range(num_updates):
        value = {} if values is None else {"value": values[step]}
        updates, state = tx.update(ONES, state, ONES, rewarm=step in signals, **value)
        assert updates[0] == updates[1]
        factors.append(float(updates[0]))
    return factors, state


def counters(state: Any) -> dict[str, int]:
    names = ("num_rewarms", "last_rewarm_step", "steps_since_rewarm", "rewarming_step")
    return {name: int(optax.tree.get(state, name)) for name in names}


def test_without_alarms_it_is_scale_by_learning_rate() -> None:
    plain = optax.scale_by_learning_rate(halving)
    state, want = plain.init(ONES), []
    for _ in range(5):
        updates, state = plain.update(ONES, state)
        want.append(float(updates[0]))
    got, state = rates(scale_by_rewarming(halving), 5)
    assert got == want == [-1, -0.5, -0.25, -0.125, -0.0625]
    assert counters(state) == {
        "num_rewarms": 0,
        "last_rewarm_step": -1,
        "steps_since_rewarm": 5,
        "rewarming_step": 5,
    }


def test_flip_sign() -> None:
    assert rates(scale_by_rewarming(halving, flip_sign=False), 2)[0] == [1, 0.5]


def test_an_alarm_acts_in_the_update_that_raises_it() -> None:
    #  update   0     1     2     3     4     5
    #  alarm                      x
    #  count    0     1     2     0     1     2
    got, state = rates(scale_by_rewarming(halving, flip_sign=False), 6, signals=[3])
    assert got == [1, 0.5, 0.25, 1, 0.5, 0.25]
    assert counters(state) == {
        "num_rewarms": 1,
        "last_rewarm_step": 3,
        "steps_since_rewarm": 3,
        "rewarming_step": 6,
    }
    assert float(optax.tree.get(state, "last_learning_rate")) == 0.25


def test_the_first_update_never_counts() -> None:
    tx = scale_by_rewarming(halving, above(1.0), flip_sign=False)
    got, state = rates(tx, 3, signals=[0], values=[9.0, 0.0, 0.0])
    assert got == [1, 0.5, 0.25]
    assert counters(state)["num_rewarms"] == 0
    assert counters(state)["last_rewarm_step"] == -1


def test_a_value_makes_its_own_update_rewarm() -> None:
    # The loss of update 2 is high: update 2 runs at schedule(0), not update 3.
    tx = scale_by_rewarming(halving, above(1.0), flip_sign=False)
    got, state = rates(tx, 5, values=[0.0, 0.5, 3.0, 1.0, 0.0])
    assert got == [1, 0.5, 1, 0.5, 0.25]
    assert counters(state)["last_rewarm_step"] == 2


def test_periods_and_signals_together() -> None:
    #  update   0     1     2     3     4     5     6     7
    #  every(3)                   x                       x  (4 + 3)
    #  caller                           x
    tx = scale_by_rewarming(halving, every(3), flip_sign=False)
    got, state = rates(tx, 8, signals=[4])
    assert got == [1, 0.5, 0.25, 1, 1, 0.5, 0.25, 1]
    assert counters(state) == {
        "num_rewarms": 3,
        "last_rewarm_step": 7,
        "steps_since_rewarm": 1,
        "rewarming_step": 8,
    }


@pytest.mark.parametrize(
    "rewarm", [True, 1, np.True_, np.array(True), jnp.array(True), jnp.int32(1)]
)
def test_forms_of_the_signal(rewarm: Any) -> None:
    tx = scale_by_rewarming(halving, flip_sign=False)
    _, state = tx.update(ONES, tx.init(ONES))
    updates, state = jax.jit(tx.update)(ONES, state, rewarm=rewarm)
    assert float(updates[0]) == 1
    assert int(state.num_rewarms) == 1


def test_a_detector_that_reads_needs_a_value() -> None:
    for tx in (
        scale_by_rewarming(halving, above(1.0)),
        restart(optax.trace(0.5), above(1.0)),
    ):
        state = tx.init(ONES)
        with pytest.raises(ValueError, match="reads the loss"):
            tx.update(ONES, state, ONES)
        # The caller's signal does not replace it.
        with pytest.raises(ValueError, match="reads the loss"):
            tx.update(ONES, state, ONES, rewarm=True)
        tx.update(ONES, state, ONES, value=0.0)


@pytest.mark.slow
def test_batched_streams_decide_for_themselves() -> None:
    tx = scale_by_rewarming(halving, above(1.0))

    def run(values: Any) -> Any:
        state = tx.init(ONES)
        for value in values:
            _, state = tx.update(ONES, state, value=value)
        return state.last_rewarm_step

    streams = jnp.array([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
    assert jax.vmap(run)(streams).tolist() == [1, 2, -1]


def test_learning_rate_is_float32_for_any_updates() -> None:
    tx = scale_by_rewarming(optax.constant_schedule(1 / 3))
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        updates, state = tx.update(jnp.ones(2, dtype), tx.init(jnp.ones(2, dtype)))
        assert updates.dtype == dtype
        assert state.last_learning_rate.dtype == jnp.float32
        np.testing.assert_array_equal(state.last_learning_rate, np.float32(1 / 3))


@pytest.mark.parametrize("rate", [1, 1.0, np.float16(1), jnp.bfloat16(1)])
def test_whatever_number_the_schedule_returns(rate: Any) -> None:
    tx = scale_by_rewarming(optax.constant_schedule(rate))
    before = tx.init(ONES)
    updates, after = tx.update(ONES, before)
    for state in (before, after):
        assert state.last_learning_rate.dtype == jnp.float32
        assert not state.last_learning_rate.weak_type
    np.testing.assert_array_equal(updates, -1)


def test_bad_updates_stay_out_of_the_state() -> None:
    tx = scale_by_rewarming(halving, every(2))
    state = tx.init(ONES)
    for _ in range(3):
        updates, state = tx.update(jnp.array([jnp.nan, jnp.inf]), state)
    assert np.isnan(updates[0])
    assert updates[1] == -jnp.inf
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(state))


def test_a_constant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule=0\.1: must be an optax\.Schedule"):
        scale_by_rewarming(0.1)
    # inject_hyperparams would call the schedule and pass what it returns.
    with pytest.raises(ValueError, match=r'static_args=\("schedule",\)'):
        optax.inject_hyperparams(scale_by_rewarming)(halving).init(ONES)


def test_multi_steps_keeps_only_what_emitting_micro_steps_say() -> None:
    # Micro-steps 0..15 in groups of 4; those at 3, 7, 11 and 15 emit. Of the signals at
    # 5, 6, 7 and 9 only that at 7 arrives: in emitted update 1, 7 // 4.
    # The detector sees 4 of 16 values: those of the emitting micro-steps.
    inner = scale_by_rewarming(halving, above(99.0), flip_sign=False)
    tx = optax.MultiSteps(inner, 4)
    with jax.numpy_dtype_promotion("standard"):
        state, emitted = tx.init(ONES), []
        update = jax.jit(tx.update)
        for step in range(16):
            updates, state = update(
                ONES, state, ONES, value=0.0, rewarm=step in (5, 6, 7, 9)
            )
            if tx.has_updated(state):
                emitted.append(float(updates[0]))
    assert emitted == [1, 1, 0.5, 0.25]
    assert counters(state)["num_rewarms"] == 1
    assert counters(state)["last_rewarm_step"] == 1
    # One value in the group that re-warmed and one in each of the two after it.
    assert int(optax.tree.get(state, "rewarm_detector_state")) == 3


# Restarting an inner transformation.


def adam_steps(tx: Any, grads: Any, signals: Sequence[int] = ()) -> tuple[Any, Any]:
    """Updates, and Adam's moments after each."""
    state, updates, moments = tx.init(ONES), [], []
    for step, grad in enumerate(grads):
        extra = {"rewarm": step in signals} if signals else {}
        with jax.numpy_dtype_promotion("standard"):
            update, state = tx.update(grad, state, ONES, **extra)
        updates.append(update)
        moments.append(
            {name: optax.tree.get(state, name) for name in ("mu", "nu", "count")}
        )
    return updates, moments


def test_restart_is_a_fresh_adam_from_the_alarm_on() -> None:
    grads = jnp.asarray(np.random.default_rng(0).normal(size=(7, 2)), jnp.float32)
    updates, moments = adam_steps(restart(optax.scale_by_adam()), grads, signals=[3])
    before = adam_steps(optax.scale_by_adam(), grads[:3])
    after = adam_steps(optax.scale_by_adam(), grads[3:])
    for got, want in zip(updates, before[0] + after[0], strict=True):
        np.testing.assert_array_equal(got, want)
    for got, want in zip(moments, before[1] + after[1], strict=True):
        jax.tree.map(np.testing.assert_array_equal, got, want)
    # In the alarm's own update: mu = 0.1 g, nu = 0.001 g^2, count = 1.
    np.testing.assert_allclose(moments[3]["mu"], 0.1 * grads[3], rtol=1e-5)
    np.testing.assert_allclose(moments[3]["nu"], 0.001 * grads[3] ** 2, rtol=1e-4)
    assert int(moments[3]["count"]) == 1


def test_restart_keeps_references() -> None:
    inner = optax.chain(
        nap_optax.l2_init(1.0), nap_optax.hold_elr(), nap_optax.project_weights()
    )
    first, later = {"w": jnp.eye(2)}, {"w": 3 * jnp.eye(2)}
    tx = restart(inner)
    state = tx.init(first)
    for rewarm in (False, True):
        _, state = tx.update(later, state, later, rewarm=rewarm)
    assert int(state.num_restarts) == 1
    for name in ("initial_weights", "reference_norm", "target_norm"):
        want = optax.tree.get(inner.init(first), name)
        jax.tree.map(np.testing.assert_array_equal, optax.tree.get(state, name), want)


def test_restart_in_the_first_update_changes_nothing() -> None:
    tx = restart(optax.trace(0.5))
    _, state = tx.update(ONES, tx.init(ONES), ONES, rewarm=True)
    assert int(optax.tree.get(state, "num_restarts")) == 0
    assert int(optax.tree.get(state, "restart_step")) == 1


def test_restart_and_rewarming_act_in_the_same_update() -> None:
    #  update      0    1     2     3     4
    #  every(3)                     x
    #  trace       1   1.5  1.75    1    1.5
    #  rate        1   1/2   1/4    1    1/2
    tx = optax.chain(
        restart(optax.trace(0.5), every(3)),
        scale_by_rewarming(halving, every(3), flip_sign=False),
    )
    got, state = rates(tx, 5)
    assert got == [1, 0.75, 0.4375, 1, 0.75]
    assert int(optax.tree.get(state, "num_restarts")) == 1


def test_restart_hands_on_extra_arguments() -> None:
    seen = []

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        seen.append(extra)
        return updates, state

    inner = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
    tx = restart(inner)
    state = tx.init(ONES)
    tx.update(ONES, state, ONES, value=3.0, rewarm=False, other="x")
    tx.update(ONES, state, ONES)
    assert seen == [{"value": 3.0, "rewarm": False, "other": "x"}, {"rewarm": False}]


def test_restart_of_a_random_state() -> None:
    # The key is typed: not an array of numbers.
    tx = restart(optax.add_noise(0.1, 0.9, key=jax.random.key(0)))
    with jax.numpy_dtype_promotion("standard"):
        first, state = tx.update(ONES, tx.init(ONES), ONES)
        second, state = tx.update(ONES, state, ONES)
        again, _ = tx.update(ONES, state, ONES, rewarm=True)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_schedules_of_this_library_restart() -> None:
    schedule = schedules.warmup_constant(1.0, warmup_steps=2)
    got, _ = rates(scale_by_rewarming(schedule, flip_sign=False), 6, signals=[3])
    assert got == [0, 0.5, 1, 0, 0.5, 1]


@pytest.mark.parametrize("detector", [5, every])
def test_what_is_no_detector_is_refused(detector: Any) -> None:
    for factory in (
        lambda: scale_by_rewarming(optax.constant_schedule(0.1), detector),
        lambda: restart(optax.identity(), detector),
    ):
        with pytest.raises(ValueError, match=r"must be a Detector, such as every"):
            factory()


@pytest.mark.parametrize("rewarm", [None, jnp.array([True, False])])
def test_a_signal_that_is_no_scalar_is_refused(rewarm: Any) -> None:
    tx = scale_by_rewarming(optax.constant_schedule(0.1))
    with pytest.raises(ValueError, match=r"rewarm=.*: must be a boolean"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), rewarm=rewarm)


@pytest.mark.parametrize(
    "name", ["rewarn", "re_warm", "rewarms", "Rewarm", "rewarming"]
)
def test_a_misspelt_signal_is_noticed(name: str) -> None:
    ones = jnp.ones(2)
    for tx in (
        scale_by_rewarming(optax.constant_schedule(0.1)),
        restart(optax.identity()),
    ):
        with pytest.warns(UserWarning, match=f"{name}=.* do you mean rewarm"):
            tx.update(ones, tx.init(ones), ones, **{name: True})


def test_other_extra_arguments_are_none_of_its_business() -> None:
    ones = jnp.ones(2)
    tx = scale_by_rewarming(optax.constant_schedule(0.1))
    others = (
        "value_fn values val grad hessian key loss step obj_fn reward rewards tree_norm"
    )
    with warnings.catch_warnings(record=True) as caught:
        tx.update(ones, tx.init(ones), ones, **dict.fromkeys(others.split(), 1.0))
    assert caught == []
