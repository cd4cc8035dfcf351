"""A directory for one process: made if it does not exist, and locked.

An error before work begins leaves no directory and no lock behind.
"""

import contextlib
import fcntl
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from experiments.harness import files
from experiments.harness.messages import UserError


class InUseError(UserError):
    """Another process holds the lock."""


class Holder(NamedTuple):
    """The process that holds a lock."""

    process: int
    machine: str | None
    """Name of its machine; None for this one."""


@contextlib.contextmanager
def made(path: Path) -> Iterator[None]:
    """Makes a directory; removes it again if an exception leaves it empty."""
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
    except FileNotFoundError:  # such as below /proc
        raise UserError(f"{path} cannot be created: choose another directory") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of a file, which the system drops when the process ends."""
    new = not files.is_there(path)
    file = files.open_own(path)
    try:
        _lock(file, path)
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}".encode())
        file.flush()
        try:
            yield
        except BaseException:
            if new:  # while we hold the lock
                path.unlink(missing_ok=True)
            raise
    finally:
        file.close()


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A process that gave up may have removed the file that was opened here.
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


def require_free(path: Path) -> None:
    """Raises `InUseError` if another process has the lock of a file.

    Only `locked` keeps others out; this check saves work that would be in vain.
    """
    if holder(path) is not None:
        with files.open_own(path) as file:
            _lock(file, path)


def holder(path: Path) -> Holder | None:
    """The holder of a file's lock; None if there seems to be none. Does not take it.

    A process of another machine cannot be checked, so it counts as the holder if the
    lock has its name.

    Raises:
      UserError: The file is out of reach.
    """
    found = re.match(rb"([1-9]\d{0,8})(?: (\S+))?", files.read_bytes(path) or b"")
    if found is None:
        return None
    process, machine = int(found[1]), (found[2] or b"").decode(errors="replace")
    if machine not in ("", socket.gethostname()):
        return Holder(process, machine)
    return Holder(process, None) if _has_open(process, path) else None


def _has_open(process: int, path: Path) -> bool:
    """Whether a process of this machine holds a file open, as the lock's owner does."""
    numbers = Path(f"/proc/{process}/fd")
    try:
        return any(_is_same(number, path) for number in numbers.iterdir())
    except FileNotFoundError:
        if Path("/proc/self/fd").exists():
            return False
    except OSError:
        pass  # another user's process
    return _is_alive(process)


def _is_same(number: Path, path: Path) -> bool:
    try:
        return number.samefile(path)
    except OSError:  # closed in the meantime
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
