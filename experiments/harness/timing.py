"""Measures the times of several functions, to compare them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def seconds_in_turns(
    runs: Mapping[str, Callable[[], Any]], *, num_rounds: int
) -> dict[str, list[float]]:
    """Measures each function once in every round.

    They take turns, so that other work of the machine affects all alike.

    Args:
      runs: functions without arguments, already compiled, by name; a round waits for
        their results.
      num_rounds: number of rounds.

    Returns:
      Seconds of each round, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(num_rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - started)
    return seconds


def fastest_in_turns(
    runs: Mapping[str, Callable[[], Any]], *, num_rounds: int
) -> dict[str, float]:
    """The fastest round of each; see `seconds_in_turns`."""
    times = seconds_in_turns(runs, num_rounds=num_rounds)
    return {name: min(seconds) for name, seconds in times.items()}
