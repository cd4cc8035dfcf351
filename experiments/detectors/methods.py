"""The detectors under study: ours, and others with the same interface.

A method is a function of streams, shape (streams, updates), and a direction; it gives
the updates of its alarms in each stream.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nap_optax
from experiments.detectors.config import PEERS_TOLERANCE
from experiments.detectors.streams import Direction, noise_scale
from experiments.harness.messages import UserError

Alarms = list[list[int]]
Method = Callable[[np.ndarray, Direction], Alarms]

TOLERANCE = {"ruptures (offline)": PEERS_TOLERANCE}


def ours() -> dict[str, Method]:
    """Our detectors with their defaults."""
    return {
        "cusum": of_factory(nap_optax.cusum),
        "page_hinkley": of_factory(nap_optax.page_hinkley),
    }


def peers() -> dict[str, Method]:
    """The detectors of river and, offline, of ruptures.

    Raises:
      UserError: a package is not installed.
    """
    river, ruptures = _import("river.drift"), _import("ruptures")
    return {
        "river PageHinkley": functools.partial(_river_page_hinkley, river),
        "river ADWIN": functools.partial(_river_adwin, river, delta=0.002),
        # The best of five values from .002 down to this one, on these streams.
        "river ADWIN, tuned": functools.partial(_river_adwin, river, delta=1e-12),
        "ruptures (offline)": functools.partial(_ruptures, ruptures),
    }


def of_factory(factory: Callable[..., nap_optax.Detector]) -> Method:
    """Makes a method from one of our detectors."""

    def method(values: np.ndarray, direction: Direction) -> Alarms:
        fired = jax.jit(lambda rows: fires(factory(direction=direction), rows))(values)
        return [np.flatnonzero(row).tolist() for row in np.asarray(fired)]

    return method


def fires(detector: nap_optax.Detector, values: Any) -> jax.Array:
    """Whether each value is an alarm, boolean of the shape of the values."""

    def one(row: jax.Array) -> jax.Array:
        return jax.lax.scan(detector.update, detector.init(), row)[1]

    return jax.vmap(one)(jnp.asarray(values, jnp.float32))


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name.partition('.')[0]} is not installed: "
            "pip install 'nap-optax[bench]', or leave the peers out with "
            "--no-peers"
        ) from error


def _in_units_of_noise(values: np.ndarray) -> np.ndarray:
    # The peers' thresholds are in units of the values; ours do not depend on units.
    scale = noise_scale(values) if np.ptp(values) else 1.0
    return values.astype(float) / scale


def _river_page_hinkley(
    river: ModuleType, values: np.ndarray, direction: Direction
) -> Alarms:
    alarms: Alarms = []
    for row in values:
        detector = river.PageHinkley(mode=direction)
        alarms.append([])
        for step, value in enumerate(_in_units_of_noise(row).tolist()):
            detector.update(value)
            if detector.drift_detected:
                alarms[-1].append(step)
    return alarms


def _river_adwin(
    river: ModuleType, values: np.ndarray, direction: Direction, *, delta: float
) -> Alarms:
    """Runs ADWIN without the alarms at which the mean moved the other way."""
    alarms: Alarms = []
    for row in values:
        detector = river.ADWIN(delta=delta)
        alarms.append([])
        for step, value in enumerate(_in_units_of_noise(row).tolist()):
            before = detector.estimation
            detector.update(value)
            if detector.drift_detected and _is_wanted(
                detector.estimation - before, direction
            ):
                alarms[-1].append(step)
    return alarms


def _ruptures(ruptures: ModuleType, values: np.ndarray, direction: Direction) -> Alarms:
    """Runs PELT for changes of the mean, with the usual penalty, on whole streams."""
    alarms: Alarms = []
    for row in values:
        signal = _in_units_of_noise(row)
        found = ruptures.KernelCPD(kernel="linear", min_size=20).fit(signal)
        ends = found.predict(pen=3 * np.log(len(signal)))
        starts = [0, *ends[:-1]]
        means = [signal[a:b].mean() for a, b in zip(starts, ends, strict=True)]
        changes = zip(ends[:-1], np.diff(means), strict=True)
        alarms.append([step for step, rise in changes if _is_wanted(rise, direction)])
    return alarms


def _is_wanted(change: float, direction: Direction) -> bool:
    return direction == "both" or (change > 0) == (direction == "up")


def sweep(
    factory: Callable[..., nap_optax.Detector],
    grid: Sequence[dict[str, float]],
    values: np.ndarray,
    direction: Direction,
) -> list[Alarms]:
    """The alarms under each row of parameters, by one compiled program."""
    stacked = {name: jnp.array([row[name] for row in grid]) for name in grid[0]}
    fired = jax.jit(
        lambda rows: jax.lax.map(
            lambda row: fires(factory(direction=direction, **row), values), rows
        )
    )(stacked)
    return [
        [np.flatnonzero(row).tolist() for row in each] for each in np.asarray(fired)
    ]
