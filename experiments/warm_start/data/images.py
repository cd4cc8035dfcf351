"""What a data set of images is, and how one is found by its name."""

import dataclasses
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Labelled(NamedTuple):
    """Images and what they show."""

    images: np.ndarray  # (n, height, width, channels) uint8
    labels: np.ndarray  # (n,) int32, from 0


class Images(NamedTuple):
    """A data set."""

    train: Labelled
    test: Labelled


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is known of a data set before it is read."""

    image_shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    mean: tuple[float, ...]
    """Of each channel over the training set, in 0..1."""
    std: tuple[float, ...]


SPECS = {
    # Means and standard deviations of all training images, over 255.
    "cifar10": Spec(
        (32, 32, 3),
        10,
        50_000,
        10_000,
        (0.4914, 0.4822, 0.4465),
        (0.247, 0.2435, 0.2616),
    ),
    "fashion_mnist": Spec((28, 28, 1), 10, 60_000, 10_000, (0.2860,), (0.3530,)),
}


def load(
    dataset: str, directory: Path | None = None, *, download: bool = False
) -> Images:
    """Reads a data set.

    Args:
      dataset: a name in `SPECS`.
      directory: where its files are; None looks where they usually are.
      download: fetch what is not there, by tensorflow-datasets.

    Returns:
      All images, train and test.

    Raises:
      UserError: the files are missing or damaged; the message names the commands that
        bring them.
    """
    from experiments.warm_start.data import fashion_mnist, prepared

    if dataset == "fashion_mnist" and fashion_mnist.is_there(directory):
        images = fashion_mnist.load(directory)
    else:
        images = prepared.load(dataset, directory, download=download)
    return Images(*(_in_order(labelled) for labelled in images))


def _in_order(labelled: Labelled) -> Labelled:
    """The examples in the order of their digests.

    Sources differ in their order, and tensorflow-datasets shuffles. In this one, which
    is as good as random, a seed draws the same images wherever they come from.
    """
    digests = [
        hashlib.blake2b(image.tobytes() + label.tobytes(), digest_size=8).digest()
        for image, label in zip(*labelled, strict=True)
    ]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    return Labelled(labelled.images[order], labelled.labels[order])
