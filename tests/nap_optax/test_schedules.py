"""Schedules against tables by hand, and against optax's own."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nap_optax import schedules

HALF = math.sqrt(0.5)  # cos(pi / 4)


def table(schedule: optax.Schedule, num_counts: int) -> list[float]:
    return [float(schedule(count)) for count in range(num_counts)]


# Durations and values that jit turns into tracers, and the table by hand.
CASES = {
    # 0.1 + 0.4 t / 4, then 0.5.
    "warmup_constant": (
        lambda peak, steps, init: schedules.warmup_constant(
            peak, warmup_steps=steps, init_value=init
        ),
        (0.5, 4, 0.1),
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5],
    ),
    "no_warmup": (
        lambda peak, steps: schedules.warmup_constant(peak, warmup_steps=steps),
        (0.5, 0),
        [0.5, 0.5],
    ),
    # From 0 to 1 in 2; then 0.2 + 0.8 (1 + cos(pi k / 4)) / 2 for k = 0, ..., 4.
    "warmup_cosine_decay": (
        lambda peak, warm, total, end: schedules.warmup_cosine_decay(
            peak, warmup_steps=warm, decay_steps=total, end_value=end
        ),
        (1.0, 2, 6, 0.2),
        [0, 0.5, 1, 0.6 + 0.4 * HALF, 0.6, 0.6 - 0.4 * HALF, 0.2, 0.2],
    ),
    # From 0.1 to 0.5 in 2, 3 updates at 0.5, then 0.2 + 0.3 (1 + cos(pi k / 2)) / 2.
    "warmup_stable_decay": (
        lambda peak, warm, stable, down, init, end: schedules.warmup_stable_decay(
            peak,
            warmup_steps=warm,
            stable_steps=stable,
            cooldown_steps=down,
            init_value=init,
            end_value=end,
        ),
        (0.5, 2, 3, 2, 0.1, 0.2),
        [0.1, 0.3, 0.5, 0.5, 0.5, 0.5, 0.35, 0.2, 0.2],
    ),
    "no_cooldown": (
        lambda peak, warm, stable, down: schedules.warmup_stable_decay(
            peak, warmup_steps=warm, stable_steps=stable, cooldown_steps=down
        ),
        (1.0, 2, 1, 0),
        [0, 0.5, 1, 0, 0],
    ),
    # 3 updates at 0.1; then a warm-up from 0 to 1 in 2 that begins at its own 0.
    "delayed": (
        lambda low, delay, warm: schedules.delayed(
            schedules.warmup_constant(1.0, warmup_steps=warm), delay, low
        ),
        (0.1, 3, 2),
        [0.1, 0.1, 0.1, 0, 0.5, 1, 1],
    ),
    "no_delay": (
        lambda low, delay: schedules.delayed(
            lambda t: 1.0 + jnp.asarray(t, float), delay, low
        ),
        (0.1, 0),
        [1, 2, 3],
    ),
    # Cycles of 4: 2 of warm-up (0.2, 0.6, peak 1), then (1 + cos(pi / 2)) / 2: 0.6.
    # After two cycles, the constant.
    "cyclic": (
        lambda peak, steps, warm, end, final: schedules.cyclic(
            peak,
            cycle_steps=steps,
            warmup_steps=warm,
            end_value=end,
            num_cycles=2,
            final_value=final,
        ),
        (1.0, 4, 2, 0.2, 0.7),
        [0.2, 0.6, 1, 0.6, 0.2, 0.6, 1, 0.6, 0.7, 0.7, 0.7],
    ),
    "cyclic_ends_where_it_began": (
        lambda peak, end: schedules.cyclic(
            peak, cycle_steps=2, warmup_steps=1, end_value=end, num_cycles=1
        ),
        (1.0, 0.2),
        [0.2, 1, 0.2, 0.2],
    ),
    # Peaks 1, 3, 9; half-way down, half the peak.
    "growing_cycles": (
        lambda peak, growth, steps: schedules.growing_cycles(
            peak, growth=growth, cycle_steps=steps, warmup_steps=2
        ),
        (1.0, 3.0, 4),
        [0, 0.5, 1, 0.5, 0, 1.5, 3, 1.5, 0, 4.5, 9, 4.5],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_by_hand(name: str) -> None:
    build, arguments, want = CASES[name]
    np.testing.assert_allclose(
        table(build(*arguments), len(want)), want, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("name", CASES)
def test_traced_arguments_and_counts(name: str) -> None:
    build, arguments, want = CASES[name]

    @jax.jit
    def run(*traced: Any) -> Any:
        return jax.vmap(build(*traced))(jnp.arange(len(want)))

    np.testing.assert_allclose(run(*arguments), want, rtol=1e-6, atol=1e-7)
    # As one batch of hyper-parameters, float32 or integer, beside their double.
    batch = [jnp.array([a, 2 * a]) for a in arguments]
    np.testing.assert_allclose(jax.vmap(run)(*batch)[0], want, rtol=1e-6, atol=1e-7)


def test_traced_durations_may_be_equal() -> None:
    @jax.jit
    def run(steps: jax.Array) -> jax.Array:
        schedule = schedules.warmup_cosine_decay(
            1.0, warmup_steps=steps, decay_steps=steps, end_value=0.2
        )
        return jax.vmap(schedule)(jnp.arange(4))

    np.testing.assert_allclose(run(jnp.int32(2)), [0, 0.5, 0.2, 0.2])


@pytest.mark.parametrize("name", CASES)
def test_concrete_arrays_under_jit(name: str) -> None:
    # Closed over, they are concrete; what jax computes from them is traced.
    build, arguments, want = CASES[name]
    arrays = [jnp.asarray(argument) for argument in arguments]

    @jax.jit
    def run(count: Any) -> Any:
        return build(*arrays)(count)

    value = run(1)
    np.testing.assert_allclose(value, want[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, int])
def test_forms_of_the_count(dtype: Any) -> None:
    for build, arguments, want in CASES.values():
        value = build(*arguments)(dtype(1))
        np.testing.assert_allclose(value, want[1], rtol=1e-6, atol=1e-7)
        assert jnp.shape(value) == ()
        assert value.dtype == jnp.float32


@pytest.mark.slow
def test_equals_optax_for_concrete_durations() -> None:
    cosine = {"warmup_steps": 100, "decay_steps": 1000, "end_value": 1e-4}
    pairs = [
        (
            schedules.warmup_cosine_decay(0.01, init_value=1e-3, **cosine),
            optax.warmup_cosine_decay_schedule(1e-3, 0.01, **cosine),
        ),
        (
            schedules.warmup_constant(0.01, warmup_steps=300, init_value=1e-3),
            optax.warmup_constant_schedule(1e-3, 0.01, 300),
        ),
        (
            schedules.warmup_cosine_decay(0.01, warmup_steps=0, decay_steps=900),
            optax.cosine_decay_schedule(0.01, 900),
        ),
        (
            schedules.cyclic(
                0.01, cycle_steps=500, warmup_steps=100, end_value=1e-3, num_cycles=3
            ),
            optax.sgdr_schedule(
                [
                    {
                        "init_value": 1e-3,
                        "peak_value": 0.01,
                        "warmup_steps": 100,
                        "decay_steps": 500,
                        "end_value": 1e-3,
                    }
                ]
                * 3
            ),
        ),
        (
            schedules.delayed(optax.linear_schedule(0.0, 1.0, 100), 250, 1e-5),
            optax.join_schedules(
                [optax.constant_schedule(1e-5), optax.linear_schedule(0.0, 1.0, 100)],
                [250],
            ),
        ),
    ]
    counts = jnp.arange(0, 1600, 7)
    for ours, theirs in pairs:
        with jax.numpy_dtype_promotion("standard"):
            want = jax.vmap(theirs)(counts)
        np.testing.assert_allclose(jax.vmap(ours)(counts), want, rtol=2e-5, atol=1e-9)


def test_no_nan_on_the_way() -> None:
    # What `jax_debug_nans` reports even where the result does not use it.
    with jax.debug_nans(True):
        for count in (0, 1, 4):
            assert schedules.warmup_constant(0.5, warmup_steps=0)(count) == 0.5
            value = schedules.cyclic(0.5, cycle_steps=4, warmup_steps=0)(count)
            assert 0 <= value <= 0.5


def test_growth_without_end_stays_finite_after_the_last_cycle() -> None:
    schedule = schedules.growing_cycles(
        1.0, growth=10.0, cycle_steps=2, warmup_steps=0, num_cycles=3
    )
    assert float(schedule(10_000)) == 0


def test_late_counts_keep_their_place_in_the_cycle() -> None:
    schedule = schedules.cyclic(1.0, cycle_steps=4, warmup_steps=2)
    late = 4 * 5_000_000
    np.testing.assert_allclose(
        [float(schedule(late + i)) for i in range(4)], [0, 0.5, 1, 0.5], atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "warmup_stable_decay",
            {"warmup_steps": 1, "stable_steps": 1, "cooldown_steps": -2},
            "cooldown_steps=-2: must be a number of 0 or more",
        ),
        ("warmup_constant", {"warmup_steps": math.nan}, "warmup_steps=nan: must be a"),
        (
            "growing_cycles",
            {"growth": -1.0, "cycle_steps": 4, "warmup_steps": 1},
            "growth=-1.0: must be a number of 0 or more",
        ),
        (
            "warmup_constant",
            {"warmup_steps": -1},
            "warmup_steps=-1: must be a number of 0 or more",
        ),
        (
            "warmup_cosine_decay",
            {"warmup_steps": 5, "decay_steps": 5},
            "decay_steps=5: must exceed warmup_steps=5",
        ),
        (
            "warmup_cosine_decay",
            {"warmup_steps": -5, "decay_steps": 5},
            "warmup_steps=-5: must be a number of 0 or more",
        ),
        (
            "cyclic",
            {"cycle_steps": 0, "warmup_steps": 0},
            "cycle_steps=0: must be a number of 1 or more",
        ),
        (
            "cyclic",
            {"cycle_steps": "a", "warmup_steps": 0},
            "cycle_steps='a': must be a number",
        ),
        (
            "cyclic",
            {"cycle_steps": 2, "warmup_steps": 0, "end_value": [[], 1]},
            "end_value=.*: must be a number",
        ),
        (
            "cyclic",
            {"cycle_steps": 2, "warmup_steps": 0, "num_cycles": 1.5},
            "num_cycles=1.5: must be a whole number of 1 or more",
        ),
        (
            "cyclic",
            {"cycle_steps": 2, "warmup_steps": 0, "num_cycles": 0},
            "num_cycles=0: must be a whole number of 1 or more",
        ),
        (
            "cyclic",
            {"cycle_steps": 2, "warmup_steps": 2},
            "cycle_steps=2: must exceed warmup_steps=2",
        ),
        (
            "growing_cycles",
            {"growth": 2.0, "cycle_steps": 2, "warmup_steps": -1},
            "warmup_steps=-1: must be a number of 0 or more",
        ),
    ],
)
def test_wrong_arguments(name: str, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(schedules, name)(1.0, **arguments)


def test_a_delayed_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule=0\.1: must be an optax"):
        schedules.delayed(0.1, 3, 0.1)  # type: ignore[arg-type]


def test_wrong_delay() -> None:
    with pytest.raises(
        ValueError, match="delay_steps=-1: must be a number of 0 or more"
    ):
        schedules.delayed(optax.constant_schedule(1.0), -1, 0.1)


@pytest.mark.parametrize("name", CASES)
def test_before_the_beginning_it_is_as_at_the_beginning(name: str) -> None:
    build, arguments, want = CASES[name]
    for count in (-1, -1000, -0.5):
        value = build(*arguments)(count)
        np.testing.assert_allclose(value, want[0], rtol=1e-6, atol=1e-7)


def test_peaks_grow_to_the_end_of_the_range() -> None:
    schedule = schedules.growing_cycles(1.0, growth=2.0, cycle_steps=4, warmup_steps=2)
    for count in range(4_000, 4_008):
        assert np.isfinite(schedule(count))


def test_a_count_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="count='now': must be a number"):
        schedules.warmup_constant(1.0, warmup_steps=2)("now")


def test_a_schedule_that_gives_no_number() -> None:
    with pytest.raises(ValueError, match=r"value of schedule='often': must be one num"):
        schedules.delayed(lambda _: "often", 3, 0.1)(0)
    with pytest.raises(ValueError, match=r"schedule=.*: must be a function of one arg"):
        schedules.delayed(lambda: 0.1, 3, 0.1)


def test_counts_beyond_int32_are_the_last():
    ours = schedules.warmup_cosine_decay(1e-2, warmup_steps=10, decay_steps=100)
    assert ours(2**40) == ours(2**31 - 1) == 0
