"""Files of a known size: checks that the disk has room, and takes it at once.

These files are written through memory. If the disk filled up later, such a write would
end the process without a message.
"""

import os
import shutil
from pathlib import Path

import numpy as np

from experiments.harness import files
from experiments.harness.messages import UserError

_GIGABYTE = 1e9


def require(path: Path, size: int) -> None:
    """Raises `UserError` unless the disk has room for some bytes.

    Args:
      path: the path of the bytes; its directory need not exist yet.
      size: number of bytes.
    """
    path = path.absolute()
    place = next(at for at in (path, *path.parents) if at.exists())
    free = shutil.disk_usage(place).free
    if free < size:
        raise UserError(
            f"this run needs {size / _GIGABYTE:,.1f} GB in {path}, and "
            f"{free / _GIGABYTE:,.1f} GB are free there: ask for less, or name a "
            "directory on another disk"
        )


def new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An array of bytes in a new file, which changes with it; replaces an old file.

    Raises:
      OSError: the disk is full; no file is left.
      UserError: the path is a link, or no file.
    """
    size = int(np.prod(shape))
    with files.open_own(path) as file:
        try:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            file.truncate(0)
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from error
    return _mapped(path, shape)


def array_of(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in a file of `new_array`; None if there is none or of another shape.

    Raises:
      UserError: the path is a link, out of reach or no file.
    """
    files.refuse_link(path)
    if not files.is_file(path) or path.stat().st_size != int(np.prod(shape)):
        return None
    return _mapped(path, shape)


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with files.open_own(path) as file:
        return np.memmap(file, np.uint8, "r+", shape=shape)
