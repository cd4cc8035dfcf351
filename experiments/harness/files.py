"""Files that are whole or absent, and JSON that any reader accepts.

A file is never half-written, whenever the process is killed: it is written under
another name, forced to disk and renamed. JSON has no numbers that are not finite, so
these are the strings "NaN", "Infinity" and "-Infinity", which `float` reads back.

A file that exists and cannot be read is out of reach. It may be whole, on storage that
is away, so it never counts as absent or damaged. Nothing is written through a link.
"""

import contextlib
import dataclasses
import enum
import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from experiments.harness.messages import UserError

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_SEAL = "seal"


@contextlib.contextmanager
def in_reach(path: Path) -> Iterator[None]:
    """Turns errors of the system while a file is read into one line.

    Raises:
      UserError: The file exists and cannot be read.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            why = "a link to nothing, or gone"
        raise UserError(
            f"{error.filename or path} is out of reach ({why}), nothing was changed: "
            "bring it back, then run the same command again"
        ) from error


def read_bytes(path: Path) -> bytes | None:
    """The contents of a file, or None if nothing has this name.

    Raises:
      UserError: Something has this name, and it is out of reach or no file.
    """
    if not is_file(path):
        return None
    with in_reach(path):
        return path.read_bytes()


def is_file(path: Path) -> bool:
    """Whether there is a file of this name; False if nothing has it.

    Raises:
      UserError: Something has this name, and it is out of reach or no file.
    """
    if not is_there(path):
        return False
    with in_reach(path):
        if stat.S_ISREG(path.stat().st_mode):
            return True
    raise UserError(
        f"{path} has to be a file and is none, nothing was changed: put the file back, "
        "then run the same command again"
    )


def is_there(path: Path) -> bool:
    """Whether something has this name, even a link to nothing."""
    with in_reach(path):
        try:
            path.lstat()
        except FileNotFoundError:
            return False
    return True


def free_name(path: Path) -> Path:
    """The path, or the first of path.1, path.2 and so on that nothing has."""
    number, free = 0, path
    while is_there(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def refuse_link(path: Path) -> None:
    """Refuses a link, because writing would change a file with another name, too."""
    if path.is_symlink():
        raise UserError(
            f"{path} is a link, and nothing is written through one: put the file "
            "itself there, or link the whole directory"
        )


def open_own(path: Path) -> BinaryIO:
    """Opens a file for reading and appending, created if it does not exist.

    Raises:
      UserError: It is a link, has a second name, or is no file.
    """
    refuse_link(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    number = os.open(path, flags | os.O_CLOEXEC, 0o666)
    status = os.fstat(number)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return os.fdopen(number, "ab+")
    os.close(number)
    raise UserError(
        f"{path} is no file of its own (a device, or a hard link): put a copy there"
    )


def parse_json(data: bytes) -> Any:
    """The value of any JSON.

    Raises:
      ValueError: It is no JSON.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def digest(data: bytes) -> str:
    """A digest that tells whether bytes are still the same."""
    return hashlib.sha256(data).hexdigest()


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with their checksum, for `unseal`."""
    return {**values, _SEAL: digest(dump_json(dict(values)).encode())}


def unseal(data: bytes) -> dict[str, Any]:
    """The values of a JSON object, without their seal.

    Raises:
      ValueError: It is no JSON object, or not what was sealed. An object without a seal
        passes, because older versions did not seal.
    """
    values = parse_json(data)
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    sealed = values.pop(_SEAL, None)
    if sealed is not None and sealed != seal(values)[_SEAL]:
        raise ValueError("not what was written")
    return values


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces `path` by a file holding `data`, or leaves it as it was.

    Raises:
      UserError: It is a link.
    """
    with replaced(path) as file:
        file.write(data)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` at the end of the block.

    Raises:
      UserError: It is a link.
    """
    refuse_link(path)
    # Named after this process, because others may write the same file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def dump_json(value: object, *, indent: int | None = None) -> str:
    """Standard JSON with the keys in the order given."""
    return json.dumps(to_json(value), indent=indent, allow_nan=False)


def to_json(value: Any) -> Any:
    """Plain JSON values for configs and metrics, numpy and jax numbers included.

    A float of 32 bits or fewer becomes a short decimal that reads back as the same
    float of that width.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, enum.Enum):
        return value.name
    return _number_to_json(np.asarray(value))


def _number_to_json(array: np.ndarray) -> Any:
    if array.dtype.kind == "O":
        raise TypeError(f"{array} of type {type(array.item())} cannot be JSON")
    if array.ndim:
        return [_number_to_json(item) for item in array]
    if array.dtype.kind in "biu":
        return array.item()
    number = float(str(array[()]))
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def open_for_append(path: Path, size: int | None = None) -> BinaryIO:
    """Opens a file of lines for appending.

    Args:
      path: Created if it does not exist.
      size: The number of bytes to keep. By default all up to the last whole line, which
        drops a line cut short by a kill.
    """
    file = open_own(path)
    if size is None:
        file.seek(0)
        size = file.read().rfind(b"\n") + 1
    file.truncate(size)
    file.seek(0, os.SEEK_END)
    return file


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line cut short is left out.

    The three strings for non-finite floats are read as floats.

    Raises:
      UserError: The file is out of reach.
      ValueError: A line is no JSON object; the message has its number.
    """
    return parse_json_lines(read_bytes(path) or b"")


def parse_json_lines(data: bytes) -> list[dict[str, Any]]:
    """The rows in the contents of a file, as in `read_json_lines`."""
    lines = data.split(b"\n")[:-1]
    return [_parse_line(number, line) for number, line in enumerate(lines, start=1)]


def _parse_line(number: int, line: bytes) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no JSON object")
    return restore_floats(row)


def restore_floats(row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an object, with floats for the three strings of non-finite ones."""
    return {
        key: _NON_FINITE.get(value, value) if isinstance(value, str) else value
        for key, value in row.items()
    }


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
