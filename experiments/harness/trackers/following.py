"""Trackers beside a run: a process for each, independent of the run."""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from experiments.harness.messages import warn
from experiments.harness.run_files import SUMMARY
from experiments.harness.trackers import exporting

FINISH_SECONDS = 60.0
"""Time that a finished run waits for a tracker that has not logged all."""
CATCH_UP_SECONDS = 600.0
STOP_SECONDS = 2.0
"""Time that a stopped run waits; its tracker logs the rest by itself."""
_ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def following(
    run: Path, names: Collection[str], *, finish_seconds: float | None = None
) -> Iterator[None]:
    """Logs to trackers the metrics that are recorded in a block or were before.

    Args:
      run: The run directory, with metrics that only grow from now on.
      names: Names of trackers.
      finish_seconds: Time to wait for them at the end of the run; by default
        `FINISH_SECONDS`.
    """
    if finish_seconds is None:
        finish_seconds = FINISH_SECONDS
    started = {name: _start(run, name) for name in dict.fromkeys(names)}
    try:
        yield
    finally:
        finished = os.path.lexists(run / SUMMARY)  # raises nothing
        for name, process in started.items():
            if process is not None:
                seconds = finish_seconds if finished else STOP_SECONDS
                _end(process, run, name, seconds, finished)


def catch_up(run: Path, names: Collection[str]) -> None:
    """Logs the metrics of a finished run that trackers lack."""
    todo = [name for name in names if not exporting.is_logged(run, name)]
    with following(run, todo, finish_seconds=CATCH_UP_SECONDS):
        pass


def _start(run: Path, name: str) -> "subprocess.Popen[bytes] | None":
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    module = "experiments.harness.trackers.follower"
    try:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(run), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the run
        )
    except OSError as error:
        warn(f"{name} was not started, and the run goes on without: {error}")
        return None


def _end(
    process: "subprocess.Popen[bytes]",
    run: Path,
    name: str,
    seconds: float,
    finished: bool,
) -> None:
    assert process.stdin is not None
    process.stdin.close()
    again = f"python -m experiments.export {shlex.quote(str(run))} --to {name}"
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        if finished:
            process.kill()
            process.wait()
            warn(f"{name} has not logged all within {seconds:g} s: {again} does")
        return
    if code not in (0, 1):  # at 1 it has said why
        warn(f"the process that logs to {name} was ended ({code}): {again} logs all")
