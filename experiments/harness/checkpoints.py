"""Checkpoints that are whole or not used: a thin layer on orbax.

`saved_steps` finds the whole checkpoints, by files beside those of orbax.

Saving is synchronous: it takes tens of milliseconds once in a while, and errors are
raised where they happen.
"""

import contextlib
import errno
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiments.harness import saved_steps
from experiments.harness.environment import differences
from experiments.harness.messages import UserError, warn
from experiments.harness.run_files import ASIDE
from experiments.harness.saved_steps import Choice, Covered


class Restored(NamedTuple):
    """The contents of a checkpoint."""

    step: int
    state: Any
    covered: Covered


class Checkpoints:
    """The newest checkpoints of one run.

    Args:
      directory: Created at the first use, if it does not exist.
      keep: Number of checkpoints to keep; two, so that one remains if the newest is
        damaged.
      read_only: Whether to change nothing and leave damaged checkpoints in place.
    """

    def __init__(self, directory: Path, *, keep: int = 2, read_only: bool = False):
        self._directory = directory.resolve()
        self._keep = keep
        self._read_only = read_only
        self._opened: ocp.CheckpointManager | None = None

    def save(self, step: int, state: Any, covered: Covered) -> None:
        """Writes a checkpoint; when it returns, the checkpoint is whole.

        Args:
          step: The step of the state, later than all saved before; names the
            checkpoint.
          state: A pytree of arrays, typed keys and `None`.
          covered: The part of the metrics file, already on disk, that it covers.

        Raises:
          OSError: The disk is full or not writable; older checkpoints are untouched.
          ValueError: A checkpoint of this or a later step exists.
        """
        with _quiet(), _disk_errors(self._directory):
            saved = self._manager().save(step, args=ocp.args.StandardSave(state))
        if not saved:
            raise ValueError(f"step {step} is not after the last one saved")
        saved_steps.note(self._directory, step, _signature(state), covered)

    def restore(self, target: Any, choice: Choice | None = None) -> Restored | None:
        """Reads the newest usable checkpoint, or None if there is none.

        Args:
          target: A state of the same structure, concrete or abstract; arrays come
            back with its shardings.
          choice: The result of `saved_steps.choose`; by default one that ignores
            metrics.

        Raises:
          UserError: The checkpoint has another structure of the state, or a checkpoint
            is out of reach.
        """
        if choice is None:
            choice = saved_steps.choose(self._directory)
        usable = choice.usable
        if usable is not None:
            _check_signature(usable.step, usable.leaves, _signature(target))
        if not self._read_only:
            self._clear(choice)
        if usable is None:
            return None
        return Restored(usable.step, self._read(usable.step, target), usable.covered)

    def close(self) -> None:
        """Releases orbax's resources."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _manager(self) -> ocp.CheckpointManager:
        """Orbax's manager, after a check that nothing is in its way."""
        if self._opened is None:
            with _quiet(), _disk_errors(self._directory):
                self._opened = self._open()
        return self._opened

    def _open(self) -> ocp.CheckpointManager:
        if self._read_only:
            options = ocp.CheckpointManagerOptions(read_only=True)
            return ocp.CheckpointManager(self._directory, options=options)
        return ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=self._keep,
                create=True,
                cleanup_tmp_directories=True,
                enable_async_checkpointing=False,
            ),
        )

    def _read(self, step: int, target: Any) -> Any:
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        with _quiet(), _disk_errors(self._directory):
            return self._manager().restore(
                step, args=ocp.args.StandardRestore(abstract)
            )

    def _clear(self, choice: Choice) -> None:
        """Moves away checkpoints that prevent continuing from the chosen one."""
        self.close()  # orbax remembers the steps
        for step in choice.unfinished:
            shutil.rmtree(self._directory / str(step))
        aside = self._directory.parent / ASIDE
        told = []
        for step, why in sorted({**choice.damaged, **choice.uncovered}.items())[::-1]:
            saved_steps.set_aside(self._directory / str(step), aside)
            cannot = "is damaged" if step in choice.damaged else "cannot be used"
            told.append(f"the checkpoint of step {step} {cannot}, set aside: {why}")
        if told:
            warn("; ".join([*told, _start(choice)]))


def _start(choice: Choice) -> str:
    if choice.usable is None:
        return "no usable checkpoint is left: starting from the first step"
    return f"continuing from step {choice.usable.step}"


def _signature(state: Any) -> dict[str, str]:
    """The dtype and shape of every leaf, by path."""
    leaves = jax.tree.leaves_with_path(state)
    return {
        jax.tree_util.keystr(path): f"{_dtype(leaf)}{np.shape(leaf)}"
        for path, leaf in leaves
    }


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf)


def _check_signature(step: int, saved: dict[str, str], wanted: dict[str, str]) -> None:
    for path, before, now in differences(saved, wanted):
        raise UserError(
            f"the checkpoint of step {step} has {before or 'nothing'} at {path} where "
            f"the program now has {now or 'nothing'}: use another directory, or the "
            "program that wrote it"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences orbax's threads, because their errors are also raised as exceptions.

    After an exception they stay silent; otherwise each thread would report it again.
    """
    logs = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [log.level for log in logs]
    unraisable, uncaught = sys.unraisablehook, sys.excepthook

    def report_unraisable(said: "sys.UnraisableHookArgs") -> None:
        if not _is_late(said.exc_value):
            unraisable(said)

    def report_uncaught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not _is_late(error):
            uncaught(kind, error, trace)

    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook, sys.excepthook = report_unraisable, report_uncaught
    yield
    sys.unraisablehook, sys.excepthook = unraisable, uncaught
    for log, level in zip(logs, levels, strict=True):
        log.setLevel(level)


def _is_late(error: BaseException | None) -> bool:
    """Whether a thread of orbax found that the others have ended."""
    return str(error) == "Event loop is closed"


@contextlib.contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    """Turns tensorstore's errors of the disk into `OSError`."""
    try:
        yield
    except ValueError as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None or int(code.group(1)) == errno.ENOENT:
            raise
        number = int(code.group(1))
        raise OSError(number, os.strerror(number), str(directory)) from error
