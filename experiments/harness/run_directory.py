"""One run on disk, so that the same command continues it.

A directory belongs to one config, to one choice of the settings of JAX that decide
results and, at any moment, to one process. The contents of `metrics.jsonl` depend only
on these: clock times go elsewhere, and a run that continues first cuts the file back to
the rows that its checkpoint covers. So a run that is killed at any moment and continued
leaves the same bytes as one that was never stopped.

All files are read before anything is computed. A file that is out of reach ends the
command and changes nothing. A damaged file is replaced if its contents can be computed
again, and named if not. See `docs/reliability.md`.
"""

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from experiments.harness import (
    before_writing,
    disk,
    environment,
    files,
    interrupts,
    own_directory,
    saved_steps,
)
from experiments.harness.messages import UserError, tell, warn
from experiments.harness.run_files import (
    ABOUT,
    ARRAYS,
    ASIDE,
    CHECKPOINTS,
    CLOCK,
    CONFIG,
    FINISHED,
    LOCK,
    MARK,
    METRICS,
    SETTINGS,
    SUMMARY,
    VERSION,
    differing_settings,
    is_filled,
    parse_metrics,
    read_description,
    read_metrics,
    read_summary,
)
from experiments.harness.saved_steps import Choice, Covered

if TYPE_CHECKING:
    import numpy as np

    from experiments.harness.checkpoints import Checkpoints

_LEFTOVERS = re.compile(r"\.lock|\.config\.json(\.\d+)?\.tmp")


class RunDirectory:
    """A context manager for the directory of one run.

    If the run is finished, `summary` is its summary after entering. Nothing is locked
    then, nothing should be computed, and a line says if the settings of JAX now differ.
    Otherwise `summary` is None, and the directory is locked until the exit or until the
    process dies.

    Args:
      path: Created if it does not exist.
      config: A dataclass; all fields decide the results, except `ignored`.
      ignored: Names of fields that may differ when the run continues, such as the path
        or how to show progress.
      before: Values of fields in runs from before the fields existed; by default such a
        run has another config.
      about: Facts for readers of the directory that the config lacks: the `experiment`
        and its `num_steps`.
      followed_by: Makes a context manager from the path for readers of growing metrics;
        entered when metrics go on, and left before the lock is released.
      checkpoint_seconds: Least time between two checkpoints. The first of a session
        is at its first evaluation, so a run makes progress however often it is killed.
      saving_share: Largest part of the time spent on saving, however large the state.
      summary_fits: Whether a summary can be this config's, for old runs without a
        digest of the summary.

    Raises:
      UserError: The path is a file, holds something else, another config or an
        unfinished run under other settings of JAX, or another process uses it. Or a
        file in it is out of reach, a link that would be written through, or damaged and
        cannot be computed again.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Any,
        *,
        ignored: Collection[str] = (),
        before: Mapping[str, Any] | None = None,
        about: Mapping[str, Any] | None = None,
        followed_by: Callable[[Path], AbstractContextManager[Any]] | None = None,
        checkpoint_seconds: float = 60.0,
        saving_share: float = 0.05,
        summary_fits: Callable[[Any], bool] = is_filled,
    ):
        self.path = Path(path).expanduser()
        self.summary: Any = None
        self._config: dict[str, Any] = files.to_json(dataclasses.asdict(config))
        self._ignored = frozenset(ignored)
        self._before: dict[str, Any] = files.to_json(dict(before or {}))
        self._about: dict[str, Any] = files.to_json(dict(about or {}))
        self._followed_by = followed_by
        self._checkpoint_seconds = checkpoint_seconds
        self._saving_share = saving_share
        self._summary_fits = summary_fits
        self._open_files = contextlib.ExitStack()
        self._other_settings: list[str] = []
        self._metrics: BinaryIO | None = None
        self._checkpoints: Checkpoints | None = None
        self._choice = Choice()
        self._recorded: Any = None  # the digest of the metrics, while they grow
        self._saved_at = time.monotonic()
        self._num_saves = 0
        self._save_seconds = 0.0

    def __enter__(self) -> "RunDirectory":
        _refuse_undecodable(self.path)
        self._inspect()
        if self.summary is not None:
            read_metrics(self.path)
            under = f", as it ran: {', '.join(self._other_settings)}"
            tell(
                f"{self.path} holds this run, finished: its results are shown again"
                + (under if self._other_settings else "")
            )
            return self
        # Slow imports come first, while no lock is held.
        from experiments.harness import checkpoints  # noqa: F401

        now = files.to_json(environment.describe())
        with contextlib.ExitStack() as stack:
            stack.enter_context(interrupts.held())
            stack.enter_context(own_directory.made(self.path))
            stack.enter_context(own_directory.locked(self.path / LOCK))
            # Another process may have written before we got the lock.
            saved = self._inspect()
            if self.summary is None:
                self._choice = before_writing.look(self.path)
                interrupts.check()
                self._describe(saved, now)
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
        """The file of clock times."""
        return self.path / CLOCK

    def restore(self, state: Any, step: int = 0) -> tuple[Any, int]:
        """Returns the state to start from and its step; call it before `record`.

        For a finished run that is the final state.

        Args:
          state: The initial state; a restored state has its structure and shardings.
          step: The step of that state.

        Returns:
          The newest usable checkpoint and its step, or (`state`, `step`).

        Raises:
          UserError: The run was finished under other settings of JAX, so it cannot
            continue.
        """
        self._refuse_other_settings()
        from experiments.harness.checkpoints import Checkpoints

        finished = self.summary is not None
        directory = self.path / CHECKPOINTS
        self._checkpoints = self._open_files.enter_context(
            contextlib.closing(Checkpoints(directory, read_only=finished))
        )
        choice = self._choice
        if finished:
            choice = saved_steps.choose(directory, read_metrics(self.path))
        restored = self._checkpoints.restore(state, choice)
        if not finished:
            directory.mkdir(exist_ok=True)  # first: metrics without it were lost
            self._continue_metrics(restored.covered.num_bytes if restored else 0)
        return (restored.state, restored.step) if restored else (state, step)

    def _continue_metrics(self, size: int) -> None:
        """Opens the metrics at the byte where the run continues."""
        path = self.path / METRICS
        metrics = files.read_bytes(path) or b""
        if metrics[size:] and (self._choice.damaged or self._choice.uncovered):
            aside = self.path / ASIDE
            aside.mkdir(exist_ok=True)
            files.write_atomically(files.free_name(aside / METRICS), metrics)
        # A damaged summary without a mark would be taken for that of a finished run.
        (self.path / SUMMARY).unlink(missing_ok=True)
        (self.path / FINISHED).unlink(missing_ok=True)
        self._metrics = self._open_files.enter_context(
            files.open_for_append(path, size)
        )
        self._recorded = hashlib.sha256(metrics[:size])
        if self._followed_by is not None:
            self._open_files.enter_context(self._followed_by(self.path))
        self._saved_at = time.monotonic()

    def record(
        self, step: int, rows: Iterable[Mapping[str, Any]], state: Any = None
    ) -> None:
        """Appends metrics, and saves a checkpoint if a state is given.

        Args:
          step: The first key of each line; the others follow in sorted order, as in
            dictionaries from jax.
          rows: One mapping of numbers and labels for each line.
          state: The state that these metrics complete. Both come in one call because
            a checkpoint covers exactly the metrics recorded before it.
        """
        if self._metrics is None or self._checkpoints is None:
            raise RuntimeError("call restore() before record()")
        interrupts.check()
        for row in rows:
            line = {"step": step, **{name: row[name] for name in sorted(row)}}
            written = files.dump_json(line).encode() + b"\n"
            self._metrics.write(written)
            self._recorded.update(written)
        self._metrics.flush()
        if state is None:
            return
        started = time.monotonic()
        os.fsync(self._metrics.fileno())
        size = os.fstat(self._metrics.fileno()).st_size
        self._checkpoints.save(step, state, Covered(size, self._recorded.hexdigest()))
        self._saved_at = time.monotonic()
        # The first save also starts orbax, so its time does not predict the next.
        if self._num_saves:
            self._save_seconds = self._saved_at - started
        self._num_saves += 1

    def array_path(self, name: str) -> Path:
        """The path of a file of `array`."""
        return self.path / ARRAYS / name

    def array(self, name: str, shape: tuple[int, ...], *, is_new: bool) -> "np.ndarray":
        """An array of bytes in a file, for data too large for a checkpoint.

        The bytes stay as they were written, also after `kill -9`, so they may be newer
        than the checkpoint. The caller must not overwrite bytes that the last two
        checkpoints need (see `session.run_to_end`), and keeps in the state what reveals
        damage.

        Args:
          name: the name of the file.
          shape: the shape of the array, of uint8.
          is_new: whether to ignore an existing file.

        Raises:
          UserError: it should exist and does not, or is out of reach.
          OSError: the disk is full; all of the file is taken at once.
        """
        path = self.array_path(name)
        if is_new:
            path.parent.mkdir(exist_ok=True)
            return disk.new_array(path, shape)
        array = disk.array_of(path, shape)
        if array is None:
            raise damaged_array(path)
        return array

    def checkpoint_due(self, step: int) -> bool:
        """Whether to save at this step; depends on the clock, unlike any result."""
        wait = max(self._checkpoint_seconds, self._save_seconds / self._saving_share)
        return not self._num_saves or time.monotonic() - self._saved_at >= wait

    def rows(self) -> list[dict[str, Any]]:
        """All metrics recorded so far."""
        expected = None if self._recorded is None else self._recorded.hexdigest()
        return parse_metrics(self.path, read_metrics(self.path, expected))

    def finish(self, summary: Any) -> None:
        """Writes the summary, any JSON: the last step, which marks the run finished.

        Arrays of `array` are removed then.
        """
        text = files.dump_json(summary, indent=2) + "\n"
        data = text.encode()
        metrics = self._recorded
        if metrics is None:
            metrics = hashlib.sha256(read_metrics(self.path))
        mark = {"summary": files.digest(data), "metrics": metrics.hexdigest()}
        sealed = files.dump_json(files.seal({MARK: VERSION, **mark}), indent=2)
        files.write_atomically(self.path / FINISHED, f"{sealed}\n".encode())
        files.write_atomically(self.path / SUMMARY, data)
        self.summary = files.parse_json(data)
        # Large, and needed only to continue.
        shutil.rmtree(self.path / ARRAYS, ignore_errors=True)

    def _inspect(self) -> dict[str, Any] | None:
        """Refuses a directory of another run; returns its description, if any."""
        if not self.path.exists():
            if self.path.is_symlink():
                raise UserError(
                    f"{self.path} is out of reach (a link to nothing), nothing was "
                    "changed: bring it back, then run the same command again"
                )
            return None
        if not self.path.is_dir():
            raise UserError(f"{self.path} is not a directory: name another")
        saved = read_description(self.path / CONFIG)
        if saved is None:
            self._refuse_no_run()
            return None
        self._refuse_another_experiment(saved.get(ABOUT))
        self._refuse_another_config(saved["config"])
        self.summary = read_summary(self.path, self._summary_fits)
        self._other_settings = differing_settings(saved)
        if self.summary is None:
            self._refuse_other_settings()
        return saved

    def _refuse_no_run(self) -> None:
        """Refuses files that belong to no run, or to a run that has lost its config."""
        names = set(os.listdir(self.path))
        if names & {METRICS, CHECKPOINTS, SUMMARY}:
            raise UserError(
                f"{self.path / CONFIG} is gone or damaged: put back a copy of it, or "
                "name a new directory"
            )
        if not all(_LEFTOVERS.fullmatch(name) for name in names):
            raise UserError(
                f"{self.path} holds files but no run: name a new or empty directory"
            )

    def _refuse_other_settings(self) -> None:
        if self._other_settings:
            raise UserError(
                f"{self.path} holds a run under other settings of JAX: "
                f"{', '.join(self._other_settings)}; name another directory, or set "
                "them as they are there to continue it"
            )

    def _refuse_another_experiment(self, saved: Any) -> None:
        there = saved.get("experiment") if isinstance(saved, dict) else None
        here = self._about.get("experiment")
        if there and here and there != here:
            raise UserError(
                f"{self.path} holds a run of another experiment ({there}, and this one "
                f"is {here}): name another directory"
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

    def _describe(
        self, saved: Mapping[str, Any] | None, now: Mapping[str, Any]
    ) -> None:
        """Writes `config.json`, or warns if the run continues elsewhere."""
        if saved is None:
            text = files.dump_json(
                {
                    MARK: VERSION,
                    ABOUT: self._about,
                    "config": self._config,
                    SETTINGS: environment.decisive_settings(),
                    "environment": now,
                },
                indent=2,
            )
            files.write_atomically(self.path / CONFIG, f"{text}\n".encode())
            return
        if files.is_there(self.path / SUMMARY):
            warn(f"{self.path / SUMMARY} is damaged: it is written again")
        before = saved.get("environment")
        if not isinstance(before, dict):
            warn(f"{self.path / CONFIG} does not say with what the run was begun")
            return
        changed = [
            f"{name} was {before} and is {after}"
            for name, before, after in environment.differences(
                # Facts that older directories lack are assumed to be as now.
                {"rounding": now["rounding"], **before},
                now,
            )
        ]
        if changed:
            warn(f"the last bits of results may differ: {', '.join(changed)}")


def damaged_array(path: Path) -> UserError:
    """The error for a file of `RunDirectory.array` that is not as it was written."""
    return UserError(
        f"{path} is gone or damaged, and no checkpoint holds what it held: put back a "
        "copy of it, or name a new directory"
    )


def _refuse_undecodable(path: Path) -> None:
    """Refuses names that the libraries of checkpoints would misread."""
    whole = os.path.realpath(path)
    try:
        same = os.fsencode(whole) == whole.encode()
    except UnicodeEncodeError:
        same = False
    if not same:
        raise UserError(
            f"{path} is not UTF-8, or its whole path is not, as checkpoints need it: "
            "name another directory"
        )
