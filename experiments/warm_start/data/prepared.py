"""Data sets that tensorflow-datasets prepares: CIFAR-10, and Fashion-MNIST by network.

Preparing needs TensorFlow, once; reading the prepared files does not. Decoding the
images takes some 20 seconds and ordering them one more. So they are kept, in order, as
plain arrays beside the prepared files.
"""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.images.data_sets import SPECS, Images, Labelled, Spec
from experiments.harness.messages import UserError, tell
from experiments.warm_start.data import arrays_file, order

ARCHIVES = {"cifar10": "cifar-10-binary.tar.gz"}
_FORMAT = "array_record"  # can be read without TensorFlow
_ARRAYS = "arrays.npz"
_IN_ORDER = {"order": "digests"}
_NEEDS = ("tensorflow_datasets", "array_record", "importlib_resources", "PIL")


def load(
    dataset: str, directory: Path | None = None, *, download: bool = False
) -> Images:
    """Reads a data set, and first prepares it if needed.

    Args:
      dataset: its name in tensorflow-datasets.
      directory: the directory of prepared data sets, or of an archive to prepare one
        from; None for the usual directory of tensorflow-datasets.
      download: whether to fetch a missing archive.

    Raises:
      UserError: the data set is missing or damaged.
    """
    arrays = _found(dataset, directory)
    if arrays is not None:
        return _kept(arrays, SPECS[dataset])
    builder = _builder(dataset, directory)
    arrays = Path(builder.data_dir) / _ARRAYS
    if arrays.exists():
        return _kept(arrays, SPECS[dataset])
    with _quiet():
        is_prepared = builder.is_prepared()
    if not is_prepared:
        _prepare(builder, directory, download=download)
    tell(f"decoding {dataset}, once")
    images = order.in_order(_decode(builder))
    arrays_file.keep(arrays, images, **_IN_ORDER)
    return images


def _found(dataset: str, directory: Path | None) -> Path | None:
    """The path of arrays that were kept, if they are of one version only.

    It does not need tensorflow-datasets, because importing that takes longer than
    reading the arrays.
    """
    if directory is None:
        return None
    found = list((directory.expanduser() / dataset).glob(f"*/{_ARRAYS}"))
    return found[0] if len(found) == 1 else None


def _kept(arrays: Path, spec: Spec) -> Images:
    """The arrays in order; arrays of older versions are put in order, once."""
    images, about = arrays_file.read(arrays, spec)
    if about == _IN_ORDER:
        return images
    images = order.in_order(images)
    with contextlib.suppress(OSError):  # the next time then takes longer
        arrays_file.write(arrays, images, **_IN_ORDER)
    return images


def _builder(dataset: str, directory: Path | None) -> Any:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{dataset} needs {', '.join(missing)}: run pip install -e '.[experiments]'"
        )
    import tensorflow_datasets as tfds
    from google.protobuf import json_format

    data_dir = None if directory is None else directory.expanduser()
    try:
        with _quiet():
            return tfds.builder(dataset, data_dir=data_dir, file_format=_FORMAT)
    except (ValueError, json_format.ParseError) as error:
        # Damaged, or prepared in another format, as tfds does by default.
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise UserError(
            f"the {dataset} prepared in {data_dir or 'the usual place'} cannot be read "
            f"({reason}): name another folder with --data-directory, and it is "
            "prepared there"
        ) from None


def _prepare(builder: Any, directory: Path | None, *, download: bool) -> None:
    """Prepares the files from an archive in the directory or from the network."""
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import (
        NonMatchingChecksumError,
    )
    from tensorflow_datasets.core.download.util import DownloadError

    name = ARCHIVES.get(builder.name)
    archive = directory.expanduser() / name if directory and name else None
    found = archive is not None and archive.exists()
    if not found and not download:
        raise UserError(_how_to_get(builder, name))
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"preparing {builder.name} needs TensorFlow, once: run pip install -e "
            "'.[prepare]', or copy a prepared folder into --data-directory"
        )
    tell(f"preparing {builder.name} in {builder.data_dir}, once: some minutes")
    config = tfds.download.DownloadConfig(
        manual_dir=archive.parent if found and archive else None, try_download_gcs=False
    )
    try:
        with _quiet():
            builder.download_and_prepare(download_config=config, file_format=_FORMAT)
    except (requests.exceptions.RequestException, DownloadError):
        raise UserError(
            f"{builder.name} could not be fetched: is there a network? "
            f"{_how_to_get(builder, name)}"
        ) from None
    except NonMatchingChecksumError:
        raise UserError(
            f"{archive or name or builder.name} is damaged or another file: its "
            "checksum is not that of the original; bring it again"
        ) from None


def _how_to_get(builder: Any, archive: str | None) -> str:
    offline = (
        f"put {archive} into a folder and name it with --data-directory; Fashion-MNIST "
        "takes its place with --dataset fashion_mnist, of a figure with --scale fashion"
        if archive
        else "install Debian's dataset-fashion-mnist (apt-get install "
        "dataset-fashion-mnist), or name the folder of its four IDX files with "
        "--data-directory"
    )
    return (
        f"{builder.name} is not in {builder.data_dir}: add --download to fetch it, or "
        f"{offline}"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences messages that are also raised as exceptions."""
    logs = [logging.getLogger(name) for name in ("absl", "urllib3")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _decode(builder: Any) -> Images:
    try:
        source = builder.as_data_source()
        spec = SPECS[builder.name]
        return Images(*(_decoded(source[split], spec) for split in ("train", "test")))
    except (RuntimeError, OSError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{builder.data_dir} is damaged ({reason}): remove it, and it is prepared "
            "again"
        ) from None


def _decoded(source: Any, spec: Spec) -> Labelled:
    images = np.empty((len(source), *spec.image_shape), np.uint8)
    labels = np.empty(len(source), np.int32)
    for index, example in enumerate(source):
        image, label = example["image"], int(example["label"])
        if image.shape != spec.image_shape or not 0 <= label < spec.num_classes:
            raise ValueError(f"an image of shape {image.shape} and of class {label}")
        images[index], labels[index] = image, label
    return Labelled(images, labels)
