"""Checkpoints that are whole or not used: a thin layer on orbax.

Beside the files that orbax writes for a step lies one of ours, written last: how many
bytes of metrics the checkpoint covers, what the state looks like and a digest of
orbax's files. Without it the checkpoint was never finished. If the digest does not
match, the checkpoint is set aside and the one before it is used; the files are compared
before orbax reads them, for data cut short may read as zeros.

Saving is synchronous: it takes tens of milliseconds once in a while, and an error
surfaces where it happens.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiments.harness import files
from experiments.harness.environment import differences
from experiments.harness.messages import UserError, warn

_ABOUT = "about.json"


class Restored(NamedTuple):
    """What a checkpoint held."""

    step: int
    state: Any
    metrics_bytes: int


class Checkpoints:
    """The newest checkpoints of one run.

    Args:
      directory: Created if it does not exist.
      keep: How many to keep; two, so that one remains when the newest is damaged.
    """

    def __init__(self, directory: Path, *, keep: int = 2):
        self._directory = directory.resolve()
        self._keep = keep
        self._manager = self._open()

    def save(self, step: int, state: Any, *, metrics_bytes: int) -> None:
        """Writes a checkpoint; when it returns, the checkpoint is whole.

        Args:
          step: Its name; greater than that of all saved before.
          state: A pytree of arrays, `None` and typed keys among them.
          metrics_bytes: How much of the metrics file, already on disk, it covers.

        Raises:
          OSError: The disk is full or not writable; older checkpoints are untouched.
          ValueError: There is a checkpoint of this or a later step.
        """
        with _quiet(), _disk_errors(self._directory):
            saved = self._manager.save(step, args=ocp.args.StandardSave(state))
        if not saved:
            raise ValueError(f"step {step} is not after the last one saved")
        about = {
            "metrics_bytes": metrics_bytes,
            "leaves": _signature(state),
            "digest": _digest(self._directory / str(step)),
        }
        path = self._directory / str(step) / _ABOUT
        files.write_atomically(path, files.dump_json(about).encode())

    def restore(self, target: Any, *, metrics_bytes: int) -> Restored | None:
        """Reads the newest usable checkpoint, or None if there is none.

        Args:
          target: A state of the same structure, concrete or abstract; arrays come
            back with its shardings.
          metrics_bytes: Size of the metrics file: a checkpoint that covers more than
            there is cannot be continued.

        Raises:
          UserError: The checkpoint was written with another structure of the state.
        """
        damaged = False
        for step in sorted(self._manager.all_steps(), reverse=True):
            if not (self._directory / str(step) / _ABOUT).exists():
                self._remove(step)
                continue
            try:
                about = self._check_files(step, metrics_bytes)
            except ValueError as error:
                damaged = True
                self._set_aside(step)
                warn(f"the checkpoint of step {step} is damaged, set aside: {error}")
                continue
            _check_signature(step, about["leaves"], _signature(target))
            return Restored(step, self._read(step, target), about["metrics_bytes"])
        if damaged:
            warn("no usable checkpoint is left: starting from the first step")
        return None

    def close(self) -> None:
        """Releases orbax's resources."""
        self._manager.close()

    def _open(self) -> ocp.CheckpointManager:
        with _quiet(), _disk_errors(self._directory):
            return ocp.CheckpointManager(
                self._directory,
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=self._keep,
                    create=True,
                    cleanup_tmp_directories=True,
                    enable_async_checkpointing=False,
                ),
            )

    def _check_files(self, step: int, metrics_bytes: int) -> dict[str, Any]:
        """What was noted when the checkpoint was saved.

        Raises:
          ValueError: The files are not what they were then.
        """
        top = self._directory / str(step)
        about = json.loads((top / _ABOUT).read_bytes())
        if not {"digest", "metrics_bytes"} <= set(about):
            raise ValueError("its description is not what was saved")
        if about["digest"] != _digest(top):
            raise ValueError("its files are not what was saved")
        missing = about["metrics_bytes"] - metrics_bytes
        if missing > 0:
            raise ValueError(f"{missing} bytes of the metrics before it are gone")
        return about

    def _read(self, step: int, target: Any) -> Any:
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        with _quiet(), _disk_errors(self._directory):
            return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))

    def _set_aside(self, step: int) -> None:
        """Keeps a copy to look at; the step itself will be saved again."""
        unusable = self._directory.parent / "unusable_checkpoints" / str(step)
        shutil.rmtree(unusable, ignore_errors=True)
        shutil.copytree(self._directory / str(step), unusable)
        self._remove(step)

    def _remove(self, step: int) -> None:
        with _quiet(), _disk_errors(self._directory):
            self._manager.delete(step)


def _digest(top: Path) -> str:
    """A hash of the names and contents of all files of a checkpoint but ours."""
    digest = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        if path.is_file() and path.name != _ABOUT:
            contents = path.read_bytes()
            digest.update(f"{path.relative_to(top)} {len(contents)} ".encode())
            digest.update(contents)
    return digest.hexdigest()


def _signature(state: Any) -> dict[str, str]:
    """Path -> dtype and shape, for every leaf."""
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
    """Silences orbax's threads: what they have to say comes as an exception as well.

    After an exception they stay silent, for those still at work would each report it
    again.
    """
    logs = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [log.level for log in logs]
    report = sys.unraisablehook

    def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = report_others
    yield
    sys.unraisablehook = report
    for log, level in zip(logs, levels, strict=True):
        log.setLevel(level)


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
