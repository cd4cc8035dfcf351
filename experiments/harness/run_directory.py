"""One run on disk, so that the same command continues it.

A directory belongs to one config, to one choice of the settings of JAX that decide
results and, at any moment, to one process. What lies in `metrics.jsonl` depends on
these only: clock times go elsewhere, and a run that continues first cuts the file back
to what its checkpoint covers. So a run killed at any moment and continued leaves the
same bytes as one never stopped.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from experiments.harness import environment, files
from experiments.harness.config import settings
from experiments.harness.messages import UserError, tell, warn

if TYPE_CHECKING:
    from experiments.harness.checkpoints import Checkpoints

CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
_MARK, _SETTINGS = "run_directory_version", "jax_settings"
_LEFTOVERS = {".lock", ".config.json.tmp"}


class RunDirectory:
    """A context manager for the directory of one run.

    On entering, `summary` is the summary of a finished run (nothing is locked then and
    nothing should be computed; a line says where the settings of JAX are others than it
    ran under), or None. Otherwise the directory is locked until the exit, also for a
    process that dies by `kill -9`.

    Args:
      path: Created if it does not exist.
      config: A dataclass; all of it decides the results, except `ignored`.
      ignored: Names of fields that may differ when the run continues, such as the path
        itself or how to show progress.
      before: What a field meant in runs that were made before it existed; by default
        that the config is another.
      checkpoint_seconds: Least time between two checkpoints.
      saving_share: Largest part of the time spent on saving, however large the state.

    Raises:
      UserError: The path is a file, holds something else, another config or an
        unfinished run under other settings of JAX, or another process uses it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Any,
        *,
        ignored: Collection[str] = (),
        before: Mapping[str, Any] | None = None,
        checkpoint_seconds: float = 60.0,
        saving_share: float = 0.05,
    ):
        self.path = Path(path).expanduser()
        self.summary: Any = None
        self._config: dict[str, Any] = files.to_json(dataclasses.asdict(config))
        self._ignored = frozenset(ignored)
        self._before: dict[str, Any] = files.to_json(dict(before or {}))
        self._checkpoint_seconds = checkpoint_seconds
        self._saving_share = saving_share
        self._open_files = contextlib.ExitStack()
        self._other_settings: list[str] = []
        self._metrics: BinaryIO | None = None
        self._checkpoints: Checkpoints | None = None
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0

    def __enter__(self) -> "RunDirectory":
        self._inspect()
        if self.summary is not None:
            under = f", as it ran: {', '.join(self._other_settings)}"
            tell(
                f"{self.path} holds this run, finished: its results are shown again"
                + (under if self._other_settings else "")
            )
            return self
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:  # as /proc says it
            raise UserError(
                f"{self.path} cannot be created: choose another directory"
            ) from None
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(self.path / ".lock"))
            # Another process may have been here before the lock was ours.
            saved = self._inspect()
            if self.summary is None:
                self._describe(saved)
            self._open_files = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open_files.close()

    @property
    def clock_path(self) -> Path:
        """Where clock times go."""
        return self.path / "clock.jsonl"

    def restore(self, state: Any, step: int = 0) -> tuple[Any, int]:
        """Returns the state to start from and its step; call it before `record`.

        On a finished run it gives the final state.

        Args:
          state: The state to begin with; what is read takes its structure and
            shardings.
          step: The step of that state.

        Returns:
          The newest usable checkpoint and its step, or (`state`, `step`).

        Raises:
          UserError: The run ran to its end under other settings of JAX, so nothing can
            go on from there.
        """
        self._refuse_other_settings()
        from experiments.harness.checkpoints import Checkpoints

        path = self.path / METRICS
        self._checkpoints = self._open_files.enter_context(
            contextlib.closing(Checkpoints(self.path / "checkpoints"))
        )
        size = path.stat().st_size if path.exists() else 0
        restored = self._checkpoints.restore(state, metrics_bytes=size)
        if self.summary is None:
            covered = restored.metrics_bytes if restored else 0
            self._metrics = self._open_files.enter_context(
                files.open_for_append(path, covered)
            )
            self._saved_at = time.monotonic()
        return (restored.state, restored.step) if restored else (state, step)

    def record(
        self, step: int, rows: Iterable[Mapping[str, Any]], state: Any = None
    ) -> None:
        """Appends metrics, and saves a checkpoint if a state is given.

        Args:
          step: Becomes the first key of each line; the others follow in sorted order,
            which is the order in which jax returns dictionaries.
          rows: One mapping of numbers and labels for each line.
          state: The state that these metrics complete. Both come in one call because
            a checkpoint covers exactly the metrics recorded before it.
        """
        if self._metrics is None or self._checkpoints is None:
            raise RuntimeError("call restore() before record()")
        for row in rows:
            line = {"step": step, **{name: row[name] for name in sorted(row)}}
            self._metrics.write(files.dump_json(line).encode() + b"\n")
        self._metrics.flush()
        if state is None:
            return
        started = time.monotonic()
        os.fsync(self._metrics.fileno())
        size = os.fstat(self._metrics.fileno()).st_size
        self._checkpoints.save(step, state, metrics_bytes=size)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def checkpoint_due(self, step: int) -> bool:
        """Whether to save at this step; depends on the clock, as no result does."""
        wait = max(self._checkpoint_seconds, self._save_seconds / self._saving_share)
        return time.monotonic() - self._saved_at >= wait

    def rows(self) -> list[dict[str, Any]]:
        """All metrics recorded so far."""
        return read_rows(self.path)

    def finish(self, summary: Any) -> None:
        """Writes the summary, any JSON: the last step, which marks the run finished."""
        text = files.dump_json(summary, indent=2) + "\n"
        files.write_atomically(self.path / SUMMARY, text.encode())
        self.summary = json.loads(text)

    def _inspect(self) -> dict[str, Any] | None:
        """Refuses what is not this run; returns its saved description, if any."""
        if not self.path.exists():
            return None
        if not self.path.is_dir():
            raise UserError(f"{self.path} is not a directory: name another")
        saved = _read_description(self.path / CONFIG)
        if saved is None:
            if {entry.name for entry in self.path.iterdir()} - _LEFTOVERS:
                raise UserError(
                    f"{self.path} holds files but no run: name a new or empty directory"
                )
            return None
        self._refuse_another_config(saved["config"])
        with contextlib.suppress(FileNotFoundError, ValueError):
            # One that cannot be read is written again.
            self.summary = json.loads((self.path / SUMMARY).read_text())
        self._other_settings = _other_settings(saved)
        if self.summary is None:
            self._refuse_other_settings()
        return saved

    def _refuse_other_settings(self) -> None:
        if self._other_settings:
            raise UserError(
                f"{self.path} holds a run under other settings of JAX: "
                f"{', '.join(self._other_settings)}; name another directory, or set "
                "them as they are there to continue it"
            )

    def _refuse_another_config(self, saved: Mapping[str, Any]) -> None:
        differ = [
            f"{name} is {before} there and {now} here"
            for name, before, now in environment.differences(
                {**self._before, **saved}, self._config
            )
            if name.split(".")[0] not in self._ignored
        ]
        if differ:
            raise UserError(
                f"{self.path} holds a run with another config: {', '.join(differ)}; "
                "name another directory, or use its settings to continue it"
            )

    def _describe(self, saved: Mapping[str, Any] | None) -> None:
        """Writes `config.json`, or warns if the run continues elsewhere."""
        now = files.to_json(environment.describe())
        if saved is None:
            text = files.dump_json(
                {
                    _MARK: 1,
                    "config": self._config,
                    _SETTINGS: environment.decisive_settings(),
                    "environment": now,
                },
                indent=2,
            )
            files.write_atomically(self.path / CONFIG, f"{text}\n".encode())
            return
        changed = [
            f"{name} was {before} and is {after}"
            for name, before, after in environment.differences(
                # What older directories do not say is taken to be as it is now.
                {"rounding": now["rounding"], **saved["environment"]},
                now,
            )
        ]
        if changed:
            warn(f"the last bits of results may differ: {', '.join(changed)}")


def default_path(experiment: str, config: Any, ignored: Collection[str]) -> Path:
    """runs/<experiment>/<digest of the settings>: the same settings find it again."""
    text = files.dump_json(files.to_json(settings(config, ignored)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Path("runs") / experiment / digest[:10]


def is_finished(path: Path) -> bool:
    """Whether a directory holds a run that has come to its end."""
    return (path / SUMMARY).exists()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The metrics in a directory, in the order of the steps."""
    return files.read_json_lines(path / METRICS)


def read_config(path: Path) -> dict[str, Any] | None:
    """The config that a directory was made for, if it is one of ours."""
    saved = _read_description(path / CONFIG)
    return saved["config"] if saved else None


def other_settings(path: Path) -> list[str]:
    """What differs, in words, between the settings of JAX that a run had and those now.

    Nothing where they are alike, or where there is no run or one of before they were
    recorded.
    """
    saved = _read_description(path / CONFIG)
    return _other_settings(saved) if saved else []


def _other_settings(saved: Mapping[str, Any]) -> list[str]:
    here = environment.decisive_settings()
    there = saved.get(_SETTINGS, {})
    # Of settings that one version of JAX lacks, nothing is known.
    return [
        f"{name} is {there[name]} there and {now} here"
        for name, now in here.items()
        if there.get(name, now) != now
    ]


def _read_description(path: Path) -> dict[str, Any] | None:
    """The contents of a `config.json` that this module wrote, else None."""
    try:
        saved = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return saved if isinstance(saved, dict) and _MARK in saved else None


def _locked(path: Path) -> BinaryIO:
    """Opens a file and holds its lock, which the system drops when the process ends."""
    file = open(path, "ab+")  # noqa: SIM115 -- open as long as the run
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode() or "unknown"
        file.close()
        raise UserError(
            f"{path.parent} is in use by another process ({holder}): wait until it "
            "ends, or name another directory"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file
