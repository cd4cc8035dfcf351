"""Files with the arrays of a data set, checked before any array is read.

The headers of a file must fit the data set before arrays are read, so no file takes
more memory than the data set.

A file also has facts about its arrays that would take long to compute again, such as
that they are in order. These facts hold only for arrays with the checksums beside them,
which are verified when the arrays are read.
"""

import contextlib
import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from experiments.harness import files
from experiments.harness.images.data_sets import Images, Labelled, Spec
from experiments.harness.messages import UserError, warn

_ABOUT, _CHECKSUMS = "about.json", "checksums"
_MOST_ABOUT = 10**6
_MOST_HEADER = 10_000
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, KeyError, ValueError, OverflowError, RuntimeError),
    # Headers are Python's literals.
    *(tokenize.TokenError, SyntaxError, MemoryError, RecursionError),
)
"""Errors that the readers of zip files and of arrays raise on damaged files."""


class Kept(NamedTuple):
    """The contents of a file."""

    images: Images
    about: Mapping[str, Any]
    """Facts about these arrays; empty if the file's facts are about other arrays."""


def write(path: Path, images: Images, **about: Any) -> None:
    """Writes the arrays of a data set, whole or not at all.

    Args:
      path: the path of an `.npz` file.
      images: the arrays.
      **about: facts about the arrays, as JSON.
    """
    arrays = {
        f"{half}_{part}": getattr(labelled, part)
        for half, labelled in images._asdict().items()
        for part in labelled._fields
    }
    with files.replaced(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(member, "w", force_zip64=True) as contents:
                npy.write_array(contents, array, allow_pickle=False)
        said = files.seal({**about, _CHECKSUMS: _checksums(archive)})
        archive.writestr(zipfile.ZipInfo(_ABOUT), files.dump_json(said))


def keep(path: Path, images: Images, **about: Any) -> bool:
    """Writes the arrays for the next time, or warns; returns whether it could."""
    try:
        write(path, images, **about)
    except OSError as error:
        warn(f"{path} cannot be kept for the next time: {error.strerror}")
        return False
    return True


def read_about(path: Path) -> Mapping[str, Any]:
    """The facts of a file about its arrays; empty if the arrays were replaced.

    Raises:
      UserError: it is no file or is damaged.
    """
    with _opened(path) as archive:
        return _about(archive)


def read(path: Path, spec: Spec) -> Kept:
    """Reads the arrays of a data set, and the facts about them.

    Args:
      path: the path of an uncompressed or deflated `.npz` file.
      spec: the data set; files with a part of it are accepted.

    Raises:
      UserError: it is no file, is damaged or holds something else.
    """
    with _opened(path) as archive:
        images = Images(
            _part(archive, "train", spec.num_train, spec),
            _part(archive, "test", spec.num_test, spec),
        )
        return Kept(images, _about(archive))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise UserError(f"{path} cannot be read (it is not a file): remove it")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise UserError(f"{path} is damaged ({reason}): remove it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def _about(archive: zipfile.ZipFile) -> Mapping[str, Any]:
    if _ABOUT not in archive.namelist():  # as in older files
        return {}
    info = archive.getinfo(_ABOUT)
    if info.file_size > _MOST_ABOUT or info.compress_type not in _PLAIN:
        raise ValueError(f"{_ABOUT} of {info.file_size:,} bytes")
    about = files.unseal(archive.read(info))
    return about if about.pop(_CHECKSUMS, None) == _checksums(archive) else {}


def _checksums(archive: zipfile.ZipFile) -> dict[str, int]:
    """Checksums of all arrays, by name; zipfile verifies them at each read."""
    infos = archive.infolist()
    return {info.filename: info.CRC for info in infos if info.filename != _ABOUT}


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


def _header(file: IO[bytes], version: tuple[int, int]) -> io.BytesIO:
    """Reads a header, and refuses one that is longer than numpy's."""
    length = file.read(2 if version == (1, 0) else 4)
    num_bytes = int.from_bytes(length, "little")
    if num_bytes > _MOST_HEADER:
        raise ValueError(f"a header of {num_bytes:,} bytes")
    return io.BytesIO(length + file.read(num_bytes))


def _array(
    archive: zipfile.ZipFile, name: str, dtype: Any, most: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Reads one array of 1 to `most` examples, its header before its contents."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in _PLAIN:
        raise ValueError(f"{name} in another compression")
    with archive.open(info) as file:
        version = npy.read_magic(file)
        if version not in _READERS:
            raise ValueError(f"{name} in another format")
        size, in_columns, found = _READERS[version](_header(file, version))
        is_right = found == dtype and size[1:] == shape and not in_columns
        if not is_right or not (len(size) > 0 and 1 <= size[0] <= most):
            raise ValueError(f"{name} of shape {size} and type {found}")
        num_bytes = math.prod(size) * found.itemsize
        contents = file.read(num_bytes)
        if file.read(1) or len(contents) != num_bytes:  # the checksum comes at the end
            raise ValueError(f"{name} of another length than it says")
    return np.frombuffer(contents, found).reshape(size)
