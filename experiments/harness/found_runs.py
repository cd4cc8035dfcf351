"""Finds run directories; what else lies beside them is passed over."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.harness.messages import UserError
from experiments.harness.run_files import (
    CHECKPOINTS,
    CLOCK,
    CONFIG,
    FINISHED,
    METRICS,
    read_description,
)

_BESIDE_METRICS = {CHECKPOINTS, CLOCK, FINISHED}
"""With metrics, any of these tells a run directory that has lost its config."""


def find(directories: Iterable[Path]) -> Iterator[Path]:
    """Yields the run directories in and under some directories, each once.

    In the order given, and of names below. Links are followed, as a run may lie behind
    one.

    Raises:
      UserError: One of those given cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    for directory in directories:
        try:
            os.scandir(directory).close()
        except OSError as error:
            raise UserError(
                f"{directory} cannot be read ({error.strerror}): name a directory"
            ) from None
        yield from _under(directory, seen)


def _under(path: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = path.stat()
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return  # not ours to read
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    if _is_run(path, {entry.name for entry in found}):
        yield path
        return
    for entry in found:
        if not entry.name.startswith(".") and _is_directory(entry):
            yield from _under(path / entry.name, seen)


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_run(path: Path, names: set[str]) -> bool:
    """Whether files are of a run, be it a damaged one."""
    if METRICS in names and names & _BESIDE_METRICS:
        return True
    if CONFIG not in names:
        return False
    try:
        return read_description(path / CONFIG) is not None
    except UserError:
        return True  # a run that cannot be read
