"""Shows the rate and the time left, and keeps the clock of a run.

The rate leaves out intervals in which a program was compiled. Clock times go to a
separate file, session by session, so a run that was continued knows its total time.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

from experiments.harness import files
from experiments.harness.messages import warn

_REFRESH_SECONDS = 0.2
_MOST = 1e12


class Progress:
    """A context manager that shows progress on stderr.

    It draws a bar on a terminal, and elsewhere prints a line now and then.

    Args:
      num_steps: The step at which the run ends.
      start_step: The step at which this session starts.
      clock_path: A JSON-lines file with the times of all sessions; None for no clock.
      quiet: Whether to show nothing.
      unit: The name of a step.
      stream: The stream to write to; stderr by default.
      plain_seconds: Least time between two plain lines.
      now: A clock in seconds.
    """

    def __init__(
        self,
        num_steps: int,
        *,
        start_step: int = 0,
        clock_path: Path | None = None,
        quiet: bool = False,
        unit: str = "step",
        stream: TextIO | None = None,
        plain_seconds: float = 10.0,
        now: Callable[[], float] = time.monotonic,
    ):
        self._num_steps = num_steps
        self._step = start_step
        self._now = now
        self._started = self._updated = self._shown = now()
        self._counted_steps = 0
        self._counted_seconds = 0.0
        self._clock = None if clock_path is None else _Clock(clock_path)
        self._stream = sys.stderr if stream is None else stream
        self._plain_seconds = plain_seconds
        self._bar = None if quiet or not self._stream.isatty() else _Bar(self._stream)
        self._quiet = quiet
        self._unit = unit

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            begins = "compiling" if self._unit == "step" else "beginning"
            self._bar.start(self._num_steps, begins)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._clock is not None:
            self._clock.close()

    def update(
        self, step: int, text: str = "", *, includes_compilation: bool = False
    ) -> None:
        """Notes a finished chunk.

        Args:
          step: Number of steps done.
          text: Text for the end of the line, such as a loss.
          includes_compilation: Whether to leave this interval out of the rate.
        """
        now = self._now()
        if not includes_compilation:
            self._counted_steps += step - self._step
            self._counted_seconds += now - self._updated
        self._step, self._updated = step, now
        if self._clock is not None:
            self._clock.write(step, now - self._started)
        every = self._plain_seconds if self._bar is None else _REFRESH_SECONDS
        if not self._quiet and now - self._shown >= every:
            self._shown = now
            self._show(text)

    @property
    def steps_per_second(self) -> float | None:
        """Steps per second of this session without compilation; None if unknown."""
        if not self._counted_seconds:
            return None
        return self._counted_steps / self._counted_seconds

    @property
    def wall_seconds(self) -> float:
        """Time spent on the run, all sessions together."""
        earlier = 0.0 if self._clock is None else self._clock.earlier_seconds
        return earlier + self._now() - self._started

    def totals(self) -> dict[str, float | None]:
        """The entries of the summary: `steps_per_second` and `wall_seconds`."""
        rate = self.steps_per_second
        return {
            "steps_per_second": None if rate is None else float(f"{rate:.4g}"),
            "wall_seconds": round(self.wall_seconds, 2),
        }

    def _show(self, text: str) -> None:
        rate = self.steps_per_second
        parts = [f"{self._unit} {self._step}/{self._num_steps}"]
        if rate:
            left = (self._num_steps - self._step) / rate
            parts += [f"{rate:.4g} {self._unit}s/s", f"{_duration(left)} left"]
        line = ", ".join(parts + [text] * bool(text))
        with contextlib.suppress(OSError):  # a closed terminal stops no run
            if self._bar is None:
                print(line, file=self._stream, flush=True)
            else:
                self._bar.show(self._step, line)


class _Bar:
    """A bar on a terminal, drawn without a thread, which would take time from jax."""

    def __init__(self, stream: TextIO):
        from rich import console, progress

        self._progress = progress.Progress(
            progress.BarColumn(),
            progress.TextColumn("{task.description}"),
            console=console.Console(file=stream),
            auto_refresh=False,
            transient=True,
        )

    def start(self, num_steps: int, text: str) -> None:
        self._task = self._progress.add_task(text, total=num_steps)
        self._progress.start()

    def show(self, step: int, line: str) -> None:
        self._progress.update(self._task, completed=step, description=line)
        self._progress.refresh()

    def stop(self) -> None:
        self._progress.stop()


class _Clock:
    """The file of the seconds of each session, one line for each update."""

    def __init__(self, path: Path):
        lines = _whole_lines(path)
        last = {row["session"]: row["seconds"] for row in lines if row is not None}
        if None in lines:
            warn(f"{path} is damaged: the time of earlier sessions may be wrong")
        self.earlier_seconds = sum(last.values())
        self._session = max(last, default=0) + 1
        self._file: BinaryIO = files.open_for_append(path)

    def write(self, step: int, seconds: float) -> None:
        row = {"session": self._session, "step": step, "seconds": round(seconds, 3)}
        self._file.write(files.dump_json(row).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _whole_lines(path: Path) -> list[dict[str, Any] | None]:
    """The lines of a clock; None for a damaged line, which must not stop a run."""
    return [_line(text) for text in (files.read_bytes(path) or b"").split(b"\n")[:-1]]


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        row = files.parse_json(text)
        session, seconds = row["session"], row["seconds"]
        right = type(session) is int and 0 < session < _MOST and 0 <= seconds < _MOST
    except (ValueError, TypeError, LookupError):
        return None
    return row if right else None


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
