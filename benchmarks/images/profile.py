"""Times of the operations of a compiled program, by JAX's profiler."""

import collections
import gzip
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

OPERATION = re.compile(r"\s*(?:ROOT )?%?([\w.-]+) = (\w+\[[\d,]*\])")
SOURCE = re.compile(r'op_name="jit\(step\)/([^"]*)"')


def operation_seconds(run: Callable[[], Any]) -> dict[str, float]:
    """Seconds of each operation of XLA while a function runs; largest first.

    Operations that run at the same time on several cores are counted one by one, so the
    sum may exceed the clock time.
    """
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory, create_perfetto_trace=True):
            run()
        (path,) = Path(directory).rglob("perfetto_trace.json.gz")
        with gzip.open(path) as file:
            trace = json.load(file)
    seconds: collections.Counter[str] = collections.Counter()
    for event in trace["traceEvents"]:
        if event.get("ph") == "X" and "hlo_op" in event.get("args", {}):
            seconds[event["name"]] += event["dur"] * 1e-6
    return dict(seconds.most_common())


def descriptions(program: str) -> dict[str, str]:
    """Returns each operation's result, and the name of its source."""
    found = {}
    for line in program.splitlines():
        match = OPERATION.match(line)
        if match:
            source = SOURCE.search(line)
            origin = source.group(1) if source else "of several operations"
            found[match.group(1)] = f"{match.group(2)} {origin}"
    return found


def print_profile(
    run: Callable[[], Any], program: str, *, num_steps: int, most: int = 20
) -> None:
    """Prints the operations that take the most time of a step.

    Args:
      run: a function that runs `num_steps` steps.
      program: the compiled text of one step.
      num_steps: number of steps of a run.
      most: number of operations to print.
    """
    seconds = operation_seconds(run)
    known = descriptions(program)
    total = sum(seconds.values())
    print(f"{1e3 * total / num_steps:.1f} ms a step in {len(seconds)} operations")
    for name, own in list(seconds.items())[:most]:
        milliseconds = 1e3 * own / num_steps
        print(f"{milliseconds:8.2f} ms {own / total:6.1%}  {known.get(name, name)}")
