"""Times of several things that are compared with one another."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def fastest_in_turns(
    runs: Mapping[str, Callable[[], Any]], *, num_rounds: int
) -> dict[str, float]:
    """Measures each by its fastest round.

    They take turns, so that what else the machine does hits all alike and none for
    long.

    Args:
      runs: functions without arguments, compiled before; a round waits until what they
        return is ready.
      num_rounds: how often each has its turn.

    Returns:
      Seconds by name.
    """
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(num_rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            jax.block_until_ready(run())
            best[name] = min(best[name], time.perf_counter() - started)
    return best
