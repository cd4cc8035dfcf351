"""Streams of values with a change, and a detector's alarms on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from nap_optax import Detector, cusum, page_hinkley

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
