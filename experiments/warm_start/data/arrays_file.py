"""The arrays that are kept of a data set: checked before anything is read whole.

A file is only as large as its headers say if they say what the data set is, so that no
file takes more memory than the data set does.
"""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from experiments.harness.messages import UserError
from experiments.warm_start.data.images import Images, Labelled, Spec

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, KeyError, ValueError, OverflowError, RuntimeError),
    *(tokenize.TokenError, SyntaxError),  # headers are Python's literals
)
"""What the readers of zip files and of arrays raise on what they cannot read."""


def read(path: Path, spec: Spec) -> Images:
    """Reads the arrays of a data set.

    Args:
      path: of an uncompressed or deflated `.npz` file.
      spec: what the data set is; parts of it are taken as well.

    Raises:
      UserError: it is no file, is damaged or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path} cannot be read (it is not a file): remove it")
    try:
        with zipfile.ZipFile(path) as archive:
            return Images(
                _part(archive, "train", spec.num_train, spec),
                _part(archive, "test", spec.num_test, spec),
            )
    except _DAMAGE as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise UserError(f"{path} is damaged ({reason}): remove it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def _part(archive: zipfile.ZipFile, name: str, most: int, spec: Spec) -> Labelled:
    images = _array(archive, f"{name}_images", np.uint8, most, spec.image_shape)
    labels = _array(archive, f"{name}_labels", np.int32, most, ())
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} {name} images and {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= spec.num_classes:
        raise ValueError(
            f"{name} labels from {labels.min()} to {labels.max()}, and there are "
            f"{spec.num_classes} classes"
        )
    return Labelled(images, labels)


def _array(
    archive: zipfile.ZipFile, name: str, dtype: Any, most: int, shape: tuple[int, ...]
) -> np.ndarray:
    """One array of 1 to `most` examples, whose header is read before its contents."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in _PLAIN:
        raise ValueError(f"{name} in another compression")
    with archive.open(info) as file:
        version = npy.read_magic(file)
        if version not in _READERS:
            raise ValueError(f"{name} in another format")
        size, in_columns, found = _READERS[version](file)
        is_right = found == dtype and size[1:] == shape and not in_columns
        if not is_right or not (len(size) > 0 and 1 <= size[0] <= most):
            raise ValueError(f"{name} of shape {size} and type {found}")
        num_bytes = math.prod(size) * found.itemsize
        contents = file.read(num_bytes)
        if file.read(1) or len(contents) != num_bytes:  # the checksum comes at the end
            raise ValueError(f"{name} of another length than it says")
    return np.frombuffer(contents, found).reshape(size)
