"""Detectors of a change: formulas by hand, oracles, streams and awkward values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from nap_optax import Detector, cusum, page_hinkley

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

FACTORIES = [cusum, page_hinkley]
NUM_UPDATES, CHANGE = 1500, 900

each_detector = pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__name__)


def run(detector: Detector, values: Any) -> tuple[Any, Any]:
    """The state after each value, and whether each was an alarm, in one scan."""

    def step(state: Any, value: Any) -> Any:
        state, fired = detector.update(state, value)
        return state, (state, fired)

    return jax.jit(lambda v: jax.lax.scan(step, detector.init(), v)[1])(values)


@functools.cache
def compiled(factory: Callable[..., Detector], direction: str) -> Callable[..., Any]:
    """The alarms in 8 streams, with traced parameters: one program for most tests."""

    @jax.jit
    def fired(rows: Any, options: Any) -> Any:
        detector = factory(direction=direction, **options)
        return jax.vmap(
            lambda row: jax.lax.scan(detector.update, detector.init(), row)[1]
        )(rows)

    return fired


def alarms_of_each(
    factory: Callable[..., Detector], rows: Any, direction: str = "up", **options: Any
) -> list[list[int]]:
    """The updates of the alarms in each of several streams."""
    rows = [np.asarray(row, np.float32) for row in rows]
    found: list[list[int]] = []
    for start in range(0, len(rows), 8):
        part = rows[start : start + 8]
        padded = np.full([8, 2400], np.nan, np.float32)  # which is ignored
        for index, row in enumerate(part):
            padded[index, : len(row)] = row
        fired = np.asarray(compiled(factory, direction)(padded, options))
        found += [np.flatnonzero(row).tolist() for row in fired[: len(part)]]
    return found


def alarms(
    factory: Callable[..., Detector], values: Any, direction: str = "up", **options: Any
) -> list[int]:
    """The updates of the alarms in one stream."""
    return alarms_of_each(factory, [values], direction, **options)[0]


def falling(key: int = 0, jump: float = 0.4) -> np.ndarray:
    """A noisy loss that falls from 2 and jumps to a level below the early one."""
    rng = np.random.default_rng(key)
    step = np.arange(NUM_UPDATES)
    loss = 0.3 + 1.7 * np.exp(-step / 150) + jump * (step >= CHANGE)
    return (loss + 0.05 * rng.standard_normal(NUM_UPDATES)).astype(np.float32)


def last(states: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[-1], states)


def assert_equal(got: Any, want: Any) -> None:
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


# Formulas.


BY_HAND = {"horizon": math.inf, "warmup_steps": 2, "freeze_above": 1}


def test_cusum_by_hand() -> None:
    values = jnp.array([0.0, 2.0, 4.0, 7.0])
    states, fired = run(cusum(4, 0.5, max_correlation=0, **BY_HAND), values)
    # After two values mean 1, lag 1, scale 1: the third has (4 - 1 - 1) / 1 - .5.
    # Then mean 1 + 3/3, lag 1 + 2/3, scale² 2/3 (1 + 4/3): (7 - 2 - 5/3) / √(14/9).
    want = [0, 0, 1.5, 1.5 + 10 / math.sqrt(14) - 0.5]
    np.testing.assert_allclose(states.cusum_up, want, rtol=1e-6)
    np.testing.assert_array_equal(states.cusum_down, 0)
    assert not fired.any()
    # The last sum is 3.67.
    lower = {"threshold": 3.6, "drift": 0.5, "max_correlation": 0.0}
    assert alarms(cusum, values, **lower, **BY_HAND) == [3]


def test_correlated_noise_by_hand() -> None:
    states, _ = run(
        cusum(9, 0, max_correlation=0.8, **BY_HAND), jnp.array([0.0, 2.0, 4.0, 7.0])
    )
    # As above; successive residuals 2 and 2 over scale² 14/9 make a correlation of
    # 1/3 · 4 · 9/14 = .857, of which .8 count: √(.2 / 1.8) = 1/3.
    want = 2 + 10 / math.sqrt(14) / 3
    assert float(states.cusum_up[-1]) == pytest.approx(want)


def test_clipped_deviation_by_hand() -> None:
    detector = cusum(99, 0.5, warmup_steps=10, clip=3.0, max_correlation=0)
    states, _ = run(detector, jnp.array([1.0, -1.0] * 6 + [1e6]))
    before, after = states.cusum_up[-2:]
    assert float(after - before) == pytest.approx(3.0 - 0.5)


def textbook_page_hinkley(values: np.ndarray, drift: float) -> np.ndarray:
    """m_t - min m for all t, without any recursion."""
    count = np.arange(1, len(values) + 1)
    total = np.cumsum(values - np.cumsum(values) / count - drift)
    return total - np.minimum.accumulate(total)


TEXTBOOK = {
    "horizon": math.inf,
    "warmup_steps": 1,
    "clip": 1e6,
    "freeze_above": 1,
    "scale": 1.0,
}


def test_page_hinkley_is_the_textbook_test() -> None:
    values = falling(jump=1.5)
    want = textbook_page_hinkley(values.astype(np.float64), 0.1)
    states, _ = run(page_hinkley(1e4, 0.1, **TEXTBOOK), values)
    np.testing.assert_allclose(states.page_hinkley_up, want, rtol=1e-4, atol=1e-3)
    assert want.max() > 50


@pytest.mark.parametrize("threshold", [0.5, 5.0, 30.0])
def test_page_hinkley_agrees_with_river(threshold: float) -> None:
    drift = pytest.importorskip("river.drift")
    values = falling(1, jump=1.5)
    peer = drift.PageHinkley(
        min_instances=1, delta=0.1, threshold=threshold, alpha=1.0, mode="up"
    )
    want = []
    for step, value in enumerate(values):
        peer.update(float(value))
        if peer.drift_detected:
            want.append(step)
            break
    assert want
    got = alarms(page_hinkley, values, threshold=threshold, drift=0.1, **TEXTBOOK)
    assert got[:1] == want


def test_a_known_scale_is_the_unit() -> None:
    values = falling(2)
    (want,) = alarms(page_hinkley, values, scale=0.05)
    assert alarms(page_hinkley, 4 * values, scale=0.2) == [want]


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


@each_detector
def test_values_that_are_refused(factory: Callable[..., Detector]) -> None:
    detector = factory()
    with pytest.raises(ValueError, match=r"update\(updates, state, params, value=loss"):
        detector.update(detector.init(), None)
    for value in (jnp.ones(1), [1.0, 2.0], 1j, "x", {"loss": 1.0}):
        with pytest.raises(ValueError, match="must be a real scalar"):
            detector.update(detector.init(), value)


@each_detector
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", math.inf),
        ("drift", -0.1),
        ("drift", math.nan),
        ("direction", "sideways"),
        ("horizon", 0.5),
        ("warmup_steps", 0),
        ("warmup_steps", 2.5),
        ("clip", 0),
        ("max_correlation", 1.0),
        ("freeze_above", jnp.float32(1.5)),
    ],
)
def test_wrong_arguments(
    factory: Callable[..., Detector], name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*: must be"):
        factory(**{name: value})


def test_wrong_scale() -> None:
    with pytest.raises(ValueError, match="scale=-1: must be positive"):
        page_hinkley(scale=-1)


# Transformations of jax.


@each_detector
def test_scan_jit_vmap_and_a_loop_agree(factory: Callable[..., Detector]) -> None:
    detector = factory(direction="both", warmup_steps=20, threshold=3.0)
    values = falling(9)[:120]
    values[60:] += 1
    states, fired = run(detector, values)
    batched, _ = jax.vmap(lambda row: run(detector, row))(jnp.stack([values, -values]))
    looped, update = detector.init(), jax.jit(detector.update)
    got = []
    for value in values:
        looped, alarm = update(looped, value)
        got.append(bool(alarm))
    assert got == fired.tolist()
    assert any(got)
    for other in (looped, last(jax.tree.map(lambda leaf: leaf[0], batched))):
        for a, b in zip(
            jax.tree.leaves(other), jax.tree.leaves(last(states)), strict=True
        ):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@each_detector
def test_traced_parameters(factory: Callable[..., Detector]) -> None:
    values = falling(10)
    names = [
        "threshold",
        "drift",
        "horizon",
        "warmup_steps",
        "clip",
        "max_correlation",
        "freeze_above",
    ]
    rows = jnp.array(
        [[10, 0.5, 100, 200, 3, 0.5, 0.2], [30, 0.2, 300, 300, 5, 0.8, 1.0]]
    )

    def fired(row: Any) -> Any:
        detector = factory(**dict(zip(names, row, strict=True)))
        return jax.lax.scan(detector.update, detector.init(), values)[1]

    together = jax.jit(jax.vmap(fired))(rows)
    concrete = factory(**dict(zip(names, map(float, rows[0]), strict=True)))
    np.testing.assert_array_equal(together[0], run(concrete, values)[1])
    assert together[0].any()
    assert not np.array_equal(*together)


# After an alarm, and in the transformations.


@each_detector
def test_an_alarm_starts_afresh_with_its_value(
    factory: Callable[..., Detector],
) -> None:
    values = np.random.default_rng(11).standard_normal(80).astype(np.float32)
    values[40:] = 9
    detector = factory(10.0, warmup_steps=20)
    states, fired = run(detector, values)
    (step,) = np.flatnonzero(fired)
    assert 40 <= step < 60
    fresh, _ = run(detector, values[step : step + 1])
    assert_equal(jax.tree.map(lambda leaf: leaf[step], states), last(fresh))


@each_detector
def test_refractory_period(factory: Callable[..., Detector]) -> None:
    values = np.random.default_rng(12).standard_normal(1500).astype(np.float32)
    values[500:] += 20
    values[560:] += 20  # within the 200 updates after the first alarm
    values[1200:] += 100
    first, second = alarms(factory, values, warmup_steps=200)
    assert 500 <= first < 540
    assert 1200 <= second < 1240


@each_detector
def test_rewarming_and_restart(factory: Callable[..., Detector]) -> None:
    values = falling(13)
    (want,) = alarms(factory, values)
    tx = optax.chain(
        nap_optax.restart(optax.trace(0.5), factory()),
        nap_optax.scale_by_rewarming(optax.exponential_decay(1.0, 1, 0.999), factory()),
    )
    params = jnp.ones(2)

    def step(state: Any, value: Any) -> Any:
        updates, state = tx.update(jnp.ones(2), state, params, value=value)
        return state, updates[0]

    state, updates = jax.lax.scan(step, tx.init(params), values)
    assert int(optax.tree.get(state, "num_rewarms")) == 1
    assert int(optax.tree.get(state, "num_restarts")) == 1
    assert int(optax.tree.get(state, "last_rewarm_step")) == want
    # Both in the update of the alarm: no momentum yet, and the first rate.
    assert float(updates[want]) == -1.0
    with pytest.raises(ValueError, match="reads a value"):
        tx.update(jnp.ones(2), tx.init(params), params)


@each_detector
def test_state_fields_are_unique_in_the_library(
    factory: Callable[..., Detector],
) -> None:
    state = factory().init()
    fields = {*state._fields, *state[-1]._fields}
    assert len(fields) == len(state._fields) + len(state[-1]._fields)
    states = [getattr(nap_optax, n) for n in nap_optax.__all__ if n.endswith("State")]
    others = {name for other in states for name in other._fields} - {*state._fields}
    assert not fields & others
