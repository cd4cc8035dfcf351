"""Logs to a tracker while a run goes on, in a separate process.

A run starts `python -m experiments.harness.trackers.follower RUN TRACKER` and holds the
other end of its stdin. So stdin ends when the run does, even if it is killed. The
follower then logs the rest and ends. An error is one line on stderr; output of
libraries is not shown.
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
"""Time to log the rest after the run: a tracker may wait for a network."""
_LOCK_SECONDS = 60.0
"""Time to wait for the lock, because the follower of a killed run may still work."""


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
    os._exit(code)  # a library's clean-up may wait for an unreachable server
