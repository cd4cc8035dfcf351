"""The types of data sets of images."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Labelled(NamedTuple):
    """Images and their labels."""

    images: np.ndarray  # (n, height, width, channels) uint8
    labels: np.ndarray  # (n,) int32, from 0


class Images(NamedTuple):
    """A data set, with its training and its test set."""

    train: Labelled
    test: Labelled


@dataclasses.dataclass(frozen=True)
class Spec:
    """The facts about a data set that are known before it is read."""

    image_shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    mean: tuple[float, ...]
    """Mean of each channel over the training set, in 0..1."""
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class FoundSpec(Spec):
    """The facts about a data set that were found when it was read."""

    digest: str
    """A digest of its pixels and labels."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "FoundSpec":
        """Makes one from its fields in JSON, where tuples are lists."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**fields)


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
