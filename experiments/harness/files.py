"""Files that are whole or absent, and JSON that any reader accepts.

A file written here is never seen half-written, whenever the process is killed: it is
written under another name, forced to disk and renamed. JSON has no numbers for what is
not finite, so those are the strings "NaN", "Infinity" and "-Infinity", which `float`
reads back.
"""

import enum
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces `path` by a file holding `data`, or leaves it as it was."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
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
      size: The number of bytes to keep; by default all up to the last whole line, so
        that a line cut short by a kill is dropped.
    """
    file = open(path, "ab+")  # noqa: SIM115 -- the caller closes it
    if size is None:
        file.seek(0)
        size = file.read().rfind(b"\n") + 1
    file.truncate(size)
    file.seek(0, os.SEEK_END)
    return file


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line cut short is left out.

    The three strings for non-finite floats are read as floats.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [_restore_floats(json.loads(line)) for line in lines[:-1]]


def _restore_floats(row: dict[str, Any]) -> dict[str, Any]:
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
