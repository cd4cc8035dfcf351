"""Logs to a tracker while a run goes on, in a process of its own.

`python -m experiments.harness.trackers.follower RUN TRACKER` is started by a run, which
holds the other end of stdin: its end is the run's, also of a run that is killed. What
is left is logged then, and that is all. Whatever goes wrong is one line on stderr; what
libraries print is not shown.
"""

import contextlib
import os
import select
import sys
import threading
import time
from pathlib import Path

from experiments.harness.messages import UserError, warn
from experiments.harness.own_directory import InUseError
from experiments.harness.trackers.exporting import export

POLL_SECONDS = 1.0
LEFT_SECONDS = 600.0
"""Time for what is left after the run: a tracker may wait for a network."""
_LOCK_SECONDS = 60.0
"""The follower of a run that was killed may still be at work."""


def main(run: Path, name: str) -> int:
    """Follows a run to its end; returns the exit code."""
    with open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace") as stderr:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # as stdout is
        try:
            _export(run, name)
        except (Exception, SystemExit) as error:
            with contextlib.redirect_stderr(stderr):
                warn(f"{name} has failed, and the run goes on without: {_why(error)}")
            return 1
    return 0


def _export(run: Path, name: str) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return export(run, name, _is_over)
        except InUseError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def _is_over() -> bool:
    """Waits a little, unless the run has ended."""
    over = bool(select.select([0], [], [], POLL_SECONDS)[0])
    if over:
        watchdog = threading.Timer(LEFT_SECONDS, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()
    return over


def _why(error: BaseException) -> str:
    text = str(error) or "no reason given"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return kind + text[:500]


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.flush()
    os._exit(code)  # a library's own clean-up may wait for what cannot be reached
