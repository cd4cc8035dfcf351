"""A directory of one's own: made if it is not there, and locked.

Whatever goes wrong before work begins leaves no directory and no lock behind.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from experiments.harness import files
from experiments.harness.messages import UserError


class InUseError(UserError):
    """Another process has the lock."""


@contextlib.contextmanager
def made(path: Path) -> Iterator[None]:
    """Makes a directory; removes it again if it is left empty by an exception."""
    new = [at for at in (path, *path.parents) if not at.exists()]
    try:
        _make(path)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for at in new:
                at.rmdir()
        raise


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # as /proc says it
        raise UserError(f"{path} cannot be created: choose another directory") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of a file, which the system drops when the process ends."""
    new = not files.is_there(path)
    file = files.open_own(path)
    try:
        _lock(file, path)
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        try:
            yield
        except BaseException:
            if new:  # while it is ours
                path.unlink(missing_ok=True)
            raise
    finally:
        file.close()


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One that gave up may have removed the file that was opened here.
        ours = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        ours = False
    if not ours:
        file.seek(0)
        holder = re.match(rb"\d+", file.read(20))
        raise InUseError(
            f"{path.parent} is in use by another process "
            f"({holder.group().decode() if holder else 'unknown'}): wait until it "
            "ends, or name another directory"
        )
