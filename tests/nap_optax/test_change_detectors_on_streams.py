"""Detectors of a change on streams: alarms, invariance and awkward values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.streams import (
    CHANGE,
    alarms,
    alarms_of_each,
    assert_equal,
    each_detector,
    falling,
    last,
    run,
)
from helpers.x64 import enable_x64
from nap_optax import Detector, cusum

# Streams.


@each_detector
@pytest.mark.parametrize("noise", ["gaussian", "student_t", "autoregressive"])
def test_one_alarm_at_the_change(factory: Callable[..., Detector], noise: str) -> None:
    rng = np.random.default_rng(3)
    num, steps = 40, np.arange(2400)
    shape = (num, len(steps))
    draws = {
        "gaussian": rng.standard_normal(shape),
        "student_t": rng.standard_t(4, shape) / math.sqrt(2),
        "autoregressive": rng.standard_normal(shape) * math.sqrt(1 - 0.6**2),
    }[noise]
    if noise == "autoregressive":
        for step in steps[1:]:
            draws[:, step] += 0.6 * draws[:, step - 1]
    loss = 0.3 + 2 * np.exp(-steps / 500) + 0.3 * (steps >= 1600)
    for found in alarms_of_each(factory, loss + 0.05 * draws):
        assert len(found) == 1
        assert found[0] >= 1600


@each_detector
def test_directions(factory: Callable[..., Detector]) -> None:
    rise = np.random.default_rng(4).standard_normal(1200).astype(np.float32)
    rise[900:] += 3
    found = {
        direction: [
            len(each) for each in alarms_of_each(factory, [rise, -rise], direction)
        ]
        for direction in ("up", "down", "both")
    }
    assert found == {"up": [1, 0], "down": [0, 1], "both": [1, 1]}


@each_detector
def test_no_single_outlier_fires(factory: Callable[..., Detector]) -> None:
    values = np.random.default_rng(5).standard_normal(1500).astype(np.float32)
    values[700], values[1200] = 1e6, -1e6
    assert alarms(factory, values, "both") == []


def test_a_trend_is_followed_in_either_direction() -> None:
    rng = np.random.default_rng(6)
    values = 1e-3 * np.arange(2400) + 0.1 * rng.standard_normal(2400)
    assert alarms_of_each(cusum, [values, -values], "both") == [[], []]


# Invariance.


@each_detector
def test_scale_shift_and_sign_do_not_matter(factory: Callable[..., Detector]) -> None:
    values = falling(7)
    rows = [values]
    rows += [np.float32(factor) * values for factor in (2.0**100, 2.0**-100, 1000)]
    rows += [values + np.float32(offset) for offset in (-5, 512)]
    want, *others = alarms_of_each(factory, rows)
    assert len(want) == 1
    assert CHANGE <= want[0] < CHANGE + 150
    assert others == [want] * 5
    assert alarms(factory, -values, "down") == want


@each_detector
def test_a_large_offset(factory: Callable[..., Detector]) -> None:
    # What one value adds to the mean, about σ / 200, is far below its last bit.
    values = falling(7)
    want, (got,) = alarms_of_each(factory, [values, values + np.float32(2**15)])
    assert got == pytest.approx(want[0], abs=10)


@each_detector
def test_constant_values(factory: Callable[..., Detector]) -> None:
    levels = np.array([0.0, 0.1, -3.0, 1e30], np.float32)
    rows = np.repeat(levels[:, None], 1200, axis=1)
    detector = factory(direction="both")
    states, fired = jax.vmap(lambda row: run(detector, row))(jnp.asarray(rows))
    assert not fired.any()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states))
    assert not states[0].any()
    assert not states[1].any()
    # Any jump from it is a change.
    rows[:, 1000:] *= 1.5
    rows[0, 1000:] = 1e-3
    for found in alarms_of_each(factory, rows, "both"):
        assert len(found) == 1
        assert 1000 <= found[0] < 1100


@each_detector
def test_rounding_is_no_change(factory: Callable[..., Detector]) -> None:
    values = np.full([3, 2400], [[0.1], [3.0], [-700.0]], np.float32)
    values[:, 1800:] *= 1 + 2.0**-22
    assert alarms_of_each(factory, values, "both") == [[], [], []]


# Awkward values.


@pytest.mark.slow
@each_detector
def test_non_finite_values_are_ignored_and_counted(
    factory: Callable[..., Detector],
) -> None:
    values = falling(8)
    holes = np.insert(values, [0, 5, 5, 500], [np.nan, np.inf, -np.inf, np.nan])
    states, _ = run(factory(), holes[:800])
    plain, _ = run(factory(), values[:796])
    assert int(optax.tree.get(last(states), "num_ignored_values")) == 4
    assert int(optax.tree.get(last(plain), "num_ignored_values")) == 0
    baseline, without = states[-1], plain[-1]
    zeros = jnp.zeros(800, jnp.int32)
    assert_equal(
        last((*states[:2], baseline._replace(num_ignored_values=zeros))),
        last((*plain[:2], without)),
    )
    (want,) = alarms(factory, values)
    assert alarms(factory, holes) == [want + 4]


@each_detector
def test_values_beyond_float32_are_ignored(factory: Callable[..., Detector]) -> None:
    detector = factory()
    state, _ = detector.update(detector.init(), -3e38)
    for value in (1e300, np.float64(-1e300), 3e38):  # the last: 6e38 above the mean
        state, _ = detector.update(state, value)
    assert int(optax.tree.get(state, "num_ignored_values")) == 3
    # What they would leave behind is no number either: the detector goes on as it was.
    state = detector.init()
    for value in (1e38, -1e38, 3e38, *[1.0] * 30):
        state, _ = detector.update(state, value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert int(optax.tree.get(state, "baseline_count")) >= 30


@pytest.mark.slow
@each_detector
def test_dtypes_of_values(factory: Callable[..., Detector]) -> None:
    detector = factory()
    want, _ = detector.update(detector.init(), 2.0)
    values: list[Any] = [2, np.int64(2), np.float64(2)]
    values += [jnp.asarray(2, kind) for kind in ("bfloat16", "float16", "int8")]
    with enable_x64(True):
        values.append(jnp.asarray(2.0, jnp.float64))
        for value in values:
            got, fired = detector.update(detector.init(), value)
            assert fired.dtype == bool
            for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
                assert (a.dtype, a.shape, float(a)) == (b.dtype, b.shape, float(b))
