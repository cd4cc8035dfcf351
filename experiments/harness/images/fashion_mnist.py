"""Fashion-MNIST (Xiao et al., 2017) from its four IDX files.

Debian's package `dataset-fashion-mnist` installs them. Checksums of the unpacked
contents are verified, so the files may be packed in any way. A user's own set in these
files must have other numbers of images.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from experiments.harness.images.data_sets import SPECS, Images, Labelled
from experiments.harness.messages import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_CHECKSUMS = {  # CRC-32 of the unpacked contents
    "train-images-idx3-ubyte.gz": 0xB4F29F28,
    "train-labels-idx1-ubyte.gz": 0x741A4657,
    "t10k-images-idx3-ubyte.gz": 0x678FE0B1,
    "t10k-labels-idx1-ubyte.gz": 0x80142C1F,
}
_UNSIGNED_BYTE = 8
MOST_BYTES = 600_000 * 28 * 28
"""Most bytes of a file: a user's own set may be ten times the original."""
_ADVICE = (
    "bring it again (apt-get install --reinstall dataset-fashion-mnist), or name "
    "another folder with --data-directory"
)
NUM_CLASSES = SPECS["fashion_mnist"].num_classes


def exists(directory: Path | None = None) -> bool:
    """Whether any of the four files exists."""
    names = (name for pair in _FILES.values() for name in pair)
    return any((_folder(directory) / name).exists() for name in names)


def load(directory: Path | None = None) -> Images:
    """Reads both sets.

    Args:
      directory: the directory of the four files; None for that of Debian's package.

    Raises:
      UserError: a file is missing, cut short or of another kind than its name.
    """
    folder = _folder(directory)
    train, test = (_read_pair(folder, *names) for names in _FILES.values())
    return Images(train, test)


def _folder(directory: Path | None) -> Path:
    return DEBIAN if directory is None else directory.expanduser()


def _read_pair(directory: Path, images_name: str, labels_name: str) -> Labelled:
    images = read_idx(directory / images_name, num_dims=3)
    labels = read_idx(directory / labels_name, num_dims=1)
    height, width, _ = SPECS["fashion_mnist"].image_shape
    if images.shape[1:] != (height, width) or max(labels, default=0) >= NUM_CLASSES:
        raise UserError(
            f"{directory} holds images of {images.shape[1:]} and labels up to "
            f"{max(labels, default=0)}: Fashion-MNIST has {height} x {width} and 9"
        )
    if len(images) != len(labels):
        raise UserError(
            f"{directory} has {len(images)} images in {images_name} and {len(labels)} "
            f"labels in {labels_name}: bring both files from one source"
        )
    return Labelled(images[..., None], labels.astype(np.int32))


def read_idx(path: Path, num_dims: int) -> np.ndarray:
    """Reads a gzip file of unsigned bytes in the IDX format.

    It has two zero bytes, the type, the number of dimensions, each dimension as a
    big-endian integer of 32 bits, then the data in C order.

    Args:
      path: the path of the file.
      num_dims: the number of dimensions that it must have.

    Raises:
      UserError: the file is missing, damaged or something else.
    """
    contents, shape = _unpacked(path, num_dims)
    spec = SPECS["fashion_mnist"]
    is_original = _CHECKSUMS.get(path.name) == zlib.crc32(contents)
    if shape[0] in (spec.num_train, spec.num_test) and not is_original:
        raise UserError(
            f"{path} is not Fashion-MNIST's: its {shape[0]} examples have another "
            f"checksum; {_ADVICE}"
        )
    return np.frombuffer(
        contents, np.uint8, offset=len(contents) - math.prod(shape)
    ).reshape(shape)


def _unpacked(path: Path, num_dims: int) -> tuple[bytes, tuple[int, ...]]:
    """The contents and the shape; unpacks no more bytes than the header says."""
    _check_kind(path)
    length = 4 * (1 + num_dims)
    try:
        with gzip.open(path) as file:
            header = file.read(length)
            sizes = header[4:].ljust(length - 4, b"\0")
            shape = tuple(np.frombuffer(sizes, ">u4").tolist())
            start = bytes([0, 0, _UNSIGNED_BYTE, num_dims])
            is_idx = header[:4] == start and len(header) == length
            if is_idx and math.prod(shape) > MOST_BYTES:
                raise UserError(
                    f"{path} says to hold {math.prod(shape):,} bytes, more than any "
                    f"Fashion-MNIST: {_ADVICE}"
                )
            # Reading one byte more makes gzip compare the checksum.
            data = file.read(math.prod(shape) + 1) if is_idx else b""
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): {_ADVICE}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    if not is_idx or len(data) != math.prod(shape):
        raise UserError(
            f"{path} is not an IDX file of {num_dims}-dimensional bytes: {_ADVICE}"
        )
    return header + data, shape


def _check_kind(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path} is missing: {_ADVICE}")
    if not path.is_file():  # opening a pipe would wait for ever
        raise UserError(f"{path} cannot be read (it is not a file): {_ADVICE}")
