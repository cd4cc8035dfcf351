"""Finds run directories and skips everything else beside them."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from experiments.harness.messages import UserError
from experiments.harness.run_files import (
    CHECKPOINTS,
    CLOCK,
    CONFIG,
    FINISHED,
    GATHERED,
    METRICS,
    PARTS,
    is_filled,
    read_description,
    read_summary,
)

_BESIDE_METRICS = {CHECKPOINTS, CLOCK, FINISHED}
"""Names of which any, with metrics, marks a run directory that has lost its config."""


def find(directories: Iterable[Path], *, parts: bool = True) -> Iterator[Path]:
    """Yields the run directories in and under some directories, each once.

    They come in the order given, and below that by name. Links are followed, because a
    run may lie behind one.

    Args:
      directories: Directories to look in.
      parts: Whether to yield also runs that another run directory below has gathered:
        the parts of a group, and a group with all its parts in a larger one.

    Raises:
      UserError: One of the given directories cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    for directory in directories:
        try:
            os.scandir(directory).close()
        except OSError as error:
            raise UserError(
                f"{directory} cannot be read ({error.strerror}): name a directory"
            ) from None
        yield from _under(directory, seen, parts)


def _under(path: Path, seen: set[tuple[int, int]], parts: bool) -> Iterator[Path]:
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
    below = [
        path / entry.name
        for entry in found
        if not entry.name.startswith(".") and _is_directory(entry)
    ]
    twice = set() if parts else _held_twice(below)
    for own in below:
        for run in _under(own, seen, parts):
            if run not in twice:
                yield run


def _held_twice(paths: Collection[Path]) -> set[Path]:
    """The groups and parts among some directories that another group has gathered."""
    folder = next((path for path in paths if path.name == PARTS), None)
    if folder is None:
        return set()
    gathered = {path: own for path in paths if (own := _gathered(path))}
    smaller = {
        path
        for path, own in gathered.items()
        if any(own < other for other in gathered.values())
    }
    return smaller | {folder / name for own in gathered.values() for name in own}


def _gathered(path: Path) -> set[str]:
    """The names of the parts that a run directory was put together from."""
    try:
        return set(read_summary(path, is_filled)[GATHERED])
    except (UserError, TypeError, KeyError):
        return set()  # unfinished, damaged, or trained by one process


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_run(path: Path, names: set[str]) -> bool:
    """Whether files are those of a run, even a damaged one."""
    if METRICS in names and names & _BESIDE_METRICS:
        return True
    if CONFIG not in names:
        return False
    try:
        return read_description(path / CONFIG) is not None
    except UserError:
        return True  # a run that cannot be read
