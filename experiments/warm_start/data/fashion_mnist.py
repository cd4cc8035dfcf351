"""Fashion-MNIST (Xiao et al., 2017) from its four IDX files.

Debian's package `dataset-fashion-mnist` installs them. They are gzip files, whose
checksum of the contents is verified as they are read; the same data packed by others
has other checksums of the whole file.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from experiments.harness.command_line import UserError
from experiments.warm_start.data.images import Images, Labelled

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_UNSIGNED_BYTE = 8


def load(directory: Path | None = None) -> Images:
    """Reads both sets.

    Args:
      directory: of the four files; None is where Debian's package puts them.

    Raises:
      UserError: a file is missing, cut short or not what its name says.
    """
    directory = DEBIAN if directory is None else directory.expanduser()
    train, test = (_read_pair(directory, *names) for names in _FILES.values())
    return Images(train, test)


def _read_pair(directory: Path, images_name: str, labels_name: str) -> Labelled:
    images = read_idx(directory / images_name, num_dims=3)
    labels = read_idx(directory / labels_name, num_dims=1)
    if len(images) != len(labels):
        raise UserError(
            f"{directory} has {len(images)} images in {images_name} and {len(labels)} "
            f"labels in {labels_name}: bring both files from one source"
        )
    return Labelled(images[..., None], labels.astype(np.int32))


def read_idx(path: Path, num_dims: int) -> np.ndarray:
    """Reads a gzip file of unsigned bytes in the IDX format.

    Two zero bytes, the type, the number of dimensions, each dimension as a big-endian
    integer of 32 bits, then the data in C order.

    Args:
      path: of the file.
      num_dims: what it must have.

    Raises:
      UserError: the file is missing, damaged or something else.
    """
    try:
        contents = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: install Debian's dataset-fashion-mnist (apt-get "
            "install dataset-fashion-mnist), name the folder of the four IDX files "
            "with --data-directory, or fetch them with --download"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): bring it again") from None
    header = 4 * (1 + num_dims)
    expected_start = bytes([0, 0, _UNSIGNED_BYTE, num_dims])
    shape = tuple(np.frombuffer(contents[4:header], ">u4").tolist())
    if contents[:4] != expected_start or len(contents) - header != np.prod(shape):
        raise UserError(
            f"{path} is not an IDX file of {num_dims}-dimensional bytes: bring it again"
        )
    return np.frombuffer(contents, np.uint8, offset=header).reshape(shape)
