"""Detectors of a change: formulas by hand, oracles, wrong use, jax and optax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers.streams import (
    alarms,
    assert_equal,
    each_detector,
    falling,
    last,
    run,
)
from nap_optax import Detector, cusum, page_hinkley

# Formulas.


BY_HAND = {"horizon": math.inf, "warmup_steps": 2, "freeze_above": 1}


@pytest.mark.slow
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


@pytest.mark.slow
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


# Wrong use.


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
    with pytest.raises(ValueError, match="scale=-1: must be a positive number"):
        page_hinkley(scale=-1)


# Transformations of jax.


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
