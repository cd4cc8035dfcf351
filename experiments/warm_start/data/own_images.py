"""The user's own images: decoded once, and kept as arrays beside their folders."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import files
from experiments.harness.images.data_sets import FoundSpec, Images, Labelled
from experiments.harness.messages import UserError, tell
from experiments.warm_start.data import arrays_file, decoding, folder, order
from experiments.warm_start.data.folder import Listing

ARRAYS = "warm_start_arrays.npz"
"""Name of the file of the arrays, in the folder itself."""
_RULES = 1
"""Version of the rules of decoding and setting aside; other arrays are made again."""
_COUNTED_AT_ONCE = 100
"""Number of images counted at once, because numpy widens them to 64 bits."""


def look(directory: Path) -> Listing:
    """Finds the images of a folder, without opening any.

    Raises:
      UserError: it has another layout, or a class has too few images.
    """
    listing = folder.listed(directory.expanduser())
    if not listing.test:
        counts = np.bincount([image.label for image in listing.train])
        if counts.min() < 2:
            raise UserError(
                f"class {listing.classes[counts.argmin()]} of {directory} has one "
                "image: bring a second, since one is set aside to test on"
            )
    return listing


def kept(listing: Listing) -> FoundSpec | None:
    """The facts from when the images were decoded; None if the images have changed.

    Raises:
      UserError: the arrays that were kept are damaged.
    """
    about = _about(listing.directory)
    same = about.get("listing") == _key(listing)
    return FoundSpec.from_json(about["found"]) if same else None


@functools.lru_cache(maxsize=1)
def survey(listing: Listing) -> FoundSpec:
    """The facts before the images are decoded: all that do not depend on pixels.

    Raises:
      UserError: an image cannot be read, or has another size than the first.
    """
    tell(
        f"reading {len(listing.train) + len(listing.test)} images of "
        f"{len(listing.classes)} classes in {listing.directory}, once"
    )
    if listing.ignored:
        tell(
            f"left out: {len(listing.ignored)} files or folders that are no images by "
            f"their names or places, such as {listing.ignored[0]}"
        )
    images = (*listing.train, *listing.test)
    shape = decoding.common_shape([image.path for image in images])
    num_test = len(listing.test)
    if not num_test:
        counts = np.bincount([image.label for image in listing.train])
        num_test = int(order.num_aside(counts).sum())
    return FoundSpec(
        image_shape=shape,
        num_classes=len(listing.classes),
        num_train=len(images) - num_test,
        num_test=num_test,
        mean=(),
        std=(),
        digest="",
    )


def decode(listing: Listing, surveyed: FoundSpec) -> FoundSpec:
    """Decodes the images and keeps their arrays, if the folder is writable.

    Raises:
      UserError: an image cannot be read.
    """
    found, images = _decoded(listing, surveyed)
    path = listing.directory / ARRAYS
    if arrays_file.keep(path, images, listing=_key(listing), found=found):
        _decoded.cache_clear()
    return found


def load(directory: Path, found: FoundSpec) -> Images:
    """Reads the images that were found.

    Raises:
      UserError: the images have changed, or the arrays that were kept are damaged.
    """
    directory = directory.expanduser()
    if _about(directory).get("found") == files.to_json(found):
        return arrays_file.read(directory / ARRAYS, found).images
    listing = look(directory)  # no arrays could be kept
    again, images = _decoded(listing, survey(listing))
    if again != found:
        raise UserError(f"{directory} was changed while it was read: try again")
    return images


@functools.lru_cache(maxsize=1)
def _decoded(listing: Listing, surveyed: FoundSpec) -> tuple[FoundSpec, Images]:
    shape = surveyed.image_shape
    train = order.by_digest(_labelled(listing.train, shape))
    if listing.test:
        images = Images(train, order.by_digest(_labelled(listing.test, shape)))
    else:
        images = order.set_aside(train)
    mean, std = _moments(images.train.images)
    found = dataclasses.replace(surveyed, mean=mean, std=std, digest=_digest(images))
    return found, images


def _labelled(images: Sequence[folder.Image], shape: tuple[int, int, int]) -> Labelled:
    return Labelled(
        decoding.decoded([image.path for image in images], shape),
        np.asarray([image.label for image in images], np.int32),
    )


def _moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in 0..1, to six decimals.

    They are computed from counts of each value, so they are exact for any number of
    images. A constant channel gets the deviation 1, so it becomes 0.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), _COUNTED_AT_ONCE):
            some = images[start : start + _COUNTED_AT_ONCE, ..., channel]
            counts += np.bincount(some.ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        deviation = np.sqrt(np.average((values - mean) ** 2, weights=counts))
        means.append(round(float(mean), 6))
        deviations.append(round(float(deviation), 6) or 1.0)
    return tuple(means), tuple(deviations)


def _digest(images: Images) -> str:
    """A digest that identifies these images, wherever they are stored."""
    digest = hashlib.sha256()
    for labelled in images:
        for array in labelled:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _about(directory: Path) -> Mapping[str, Any]:
    """The facts about the arrays that were kept, if there are any."""
    path = directory / ARRAYS
    return arrays_file.read_about(path) if files.is_there(path) else {}


def _key(listing: Listing) -> str:
    return f"{_RULES}-{listing.fingerprint}"
