"""Counts false alarms, detections and delays of the detectors."""

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import nap_optax
from experiments.detectors import methods
from experiments.detectors.config import Config
from experiments.detectors.methods import Alarms, Method
from experiments.detectors.streams import Direction, Streams, first

SWEEPS = {
    "cusum": (nap_optax.cusum, (5, 10, 15, 20, 30, 40), (0.25, 0.4, 0.55, 0.7, 1.0)),
    "page_hinkley": (
        nap_optax.page_hinkley,
        (10, 20, 30, 40, 60, 80),
        (0.05, 0.1, 0.15, 0.25, 0.5),
    ),
}
# The defaults of `cusum`, to vary one at a time.
DEFAULTS = {
    name: float(parameter.default)
    for name, parameter in inspect.signature(nap_optax.cusum).parameters.items()
    if name != "direction"
}
ABLATIONS: dict[str, dict[str, float]] = {
    "cusum": {},
    "noise taken for uncorrelated": {"max_correlation": 0.0},
    "baseline always learns": {"freeze_above": 1.0},
    "baseline stops at once": {"freeze_above": 0.0},
    "nothing clipped": {"clip": 1e6},
    "horizon 100": {"horizon": 100.0},
    "horizon 400": {"horizon": 400.0},
    "warm-up 200": {"warmup_steps": 200.0},
}

Table = dict[str, dict[str, dict[str, Any]]]


def score(
    alarms: Alarms, num_updates: int, change_step: int | None, *, tolerance: int = 0
) -> dict[str, Any]:
    """The scores of one method on the streams of one kind.

    Args:
      alarms: updates of the alarms in each stream.
      num_updates: length of the streams.
      change_step: the first update after the change, or None.
      tolerance: updates by which an alarm may precede the change.

    Returns:
      `share_false`: share of streams with an alarm before the change.
      `false_per_1000_updates`: number of these alarms per 1000 updates before it.
      `share_detected`: share of streams with an alarm after the change.
      `share_right`: share of streams with no alarm before and exactly one after it
      (without a change, with no alarm at all).
      `delay_updates`: quartiles of the delay of the first alarm after the change, or
      None if there is none.
    """
    end = num_updates if change_step is None else change_step - tolerance
    false = [sum(step < end for step in each) for each in alarms]
    after = [[step for step in each if step >= end] for each in alarms]
    wanted = 0 if change_step is None else 1
    delays = [max(each[0] - end - tolerance, 0) for each in after if each]
    return {
        "num_streams": len(alarms),
        "share_false": float(np.mean(np.array(false) > 0)),
        "false_per_1000_updates": 1000 * float(np.mean(false)) / end,
        "share_detected": float(np.mean([bool(each) for each in after])),
        "share_right": float(
            np.mean(
                [
                    not early and len(each) == wanted
                    for early, each in zip(false, after, strict=True)
                ]
            )
        ),
        "delay_updates": np.quantile(delays, (0.25, 0.5, 0.75)).tolist()
        if delays
        else None,
    }


def compare(kinds: Mapping[str, Streams], detectors: Mapping[str, Method]) -> Table:
    """The scores of each method (inner key) on each kind (outer key)."""
    table: Table = {name: {} for name in kinds}
    for label, method in detectors.items():
        for alike in _alike(kinds):
            alarms = method(*_joined(alike))
            tolerance = methods.TOLERANCE.get(label, 0)
            for name, entry in _scores(alike, alarms, tolerance).items():
                table[name][label] = entry
    return table


def vary(
    kinds: Mapping[str, Streams],
    factory: Callable[..., nap_optax.Detector],
    grid: Sequence[dict[str, float]],
) -> list[dict[str, dict[str, Any]]]:
    """Scores on each kind, for each row of parameters."""
    tables: list[dict[str, dict[str, Any]]] = [{} for _ in grid]
    for alike in _alike(kinds):
        found = methods.sweep(factory, grid, *_joined(alike))
        for table, alarms in zip(tables, found, strict=True):
            table.update(_scores(alike, alarms))
    return tables


def _scores(
    kinds: Mapping[str, Streams], alarms: Alarms, tolerance: int = 0
) -> dict[str, dict[str, Any]]:
    """The scores on each kind, from the alarms in the streams of all of them."""
    remaining = iter(alarms)
    return {
        name: score(
            list(itertools.islice(remaining, len(kind.values))),
            kind.values.shape[1],
            kind.change_step,
            tolerance=tolerance,
        )
        for name, kind in kinds.items()
    }


def _alike(kinds: Mapping[str, Streams]) -> list[dict[str, Streams]]:
    """Groups kinds of one direction and length, which share a compilation."""
    groups: dict[Any, dict[str, Streams]] = {}
    for name, kind in kinds.items():
        key = (kind.direction, kind.values.shape[1])
        groups.setdefault(key, {})[name] = kind
    return list(groups.values())


def _joined(kinds: Mapping[str, Streams]) -> tuple[np.ndarray, Direction]:
    streams = np.concatenate([kind.values for kind in kinds.values()])
    return streams, next(iter(kinds.values())).direction


def sweep(kinds: Mapping[str, Streams], name: str) -> list[dict[str, float]]:
    """Mean shares over the kinds with a rise, for each threshold and drift."""
    factory, thresholds, drifts = SWEEPS[name]
    rising = {
        label: kind
        for label, kind in kinds.items()
        if kind.direction == "up" and kind.change_step is not None
    }
    grid = [
        {"threshold": float(threshold), "drift": drift}
        for threshold, drift in itertools.product(thresholds, drifts)
    ]
    tables = vary(rising, factory, grid)
    return [row | _means(table) for row, table in zip(grid, tables, strict=True)]


def ablate(kinds: Mapping[str, Streams]) -> dict[str, dict[str, Any]]:
    """Scores `cusum` with one choice undone: the mean and the worst of the kinds."""
    changing = {n: kind for n, kind in kinds.items() if kind.change_step is not None}
    grid = [DEFAULTS | change for change in ABLATIONS.values()]
    tables = dict(zip(ABLATIONS, vary(changing, nap_optax.cusum, grid), strict=True))
    tables["deviation from the mean alone"] = vary(
        changing, nap_optax.page_hinkley, [DEFAULTS]
    )[0]
    return {
        label: _means(table)
        | {
            "kinds_below_90_percent": [
                name for name, entry in table.items() if entry["share_right"] < 0.9
            ]
        }
        for label, table in tables.items()
    }


def _means(table: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {
        key: float(np.mean([entry[key] for entry in table.values()]))
        for key in ("share_right", "share_false", "share_detected")
    }


def run(
    config: Config, simulated: Mapping[str, Streams], real: Mapping[str, Streams]
) -> dict[str, Any]:
    """Measures everything and returns all results."""
    detectors = methods.ours() | (methods.peers() if config.peers else {})
    table = compare({**simulated, **real}, detectors)
    both = {
        name: kind._replace(direction="both")
        for name, kind in simulated.items()
        if kind.direction == "up" and kind.change_step is not None
    }
    few = first(dict(simulated), config.num_sweep_streams)
    return {
        "table": table,
        "both_directions": compare(both, methods.ours()),
        "ablations": ablate(few),
        "sweeps": {name: sweep(few, name) for name in SWEEPS},
    }
