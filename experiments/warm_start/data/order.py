"""The order of a data set's examples, the same for every source."""

import hashlib

import numpy as np

from experiments.harness.images.data_sets import Images, Labelled

TEST_PART = 5
"""One example of every five in a class is set aside to test on."""


def in_order(images: Images) -> Images:
    """Both halves of a data set in the order of the examples' digests.

    Sources have different orders, and tensorflow-datasets shuffles. In this order,
    which is practically random, a seed draws the same images from every source.
    """
    return Images(*(by_digest(labelled) for labelled in images))


def by_digest(labelled: Labelled) -> Labelled:
    """Examples in the order of their digests."""
    digests = [
        hashlib.blake2b(image.tobytes() + label.tobytes(), digest_size=8).digest()
        for image, label in zip(*labelled, strict=True)
    ]
    order = np.asarray(sorted(range(len(digests)), key=digests.__getitem__), np.intp)
    return Labelled(labelled.images[order], labelled.labels[order])


def num_aside(counts: np.ndarray) -> np.ndarray:
    """Number of examples of each class that `set_aside` keeps for testing."""
    return np.maximum(counts // TEST_PART, 1)


def set_aside(labelled: Labelled) -> Images:
    """Divides ordered examples into a training and a test set, each in order.

    The first fifth of each class, at least one example, is the test set. The order
    depends only on pixels and labels, so names and places of files do not matter.
    """
    counts = np.bincount(labelled.labels)
    by_class = np.argsort(labelled.labels, kind="stable")
    is_test = np.zeros(len(labelled.labels), bool)
    starts = np.cumsum(counts) - counts
    for start, number in zip(starts, num_aside(counts), strict=True):
        is_test[by_class[start : start + number]] = True
    return Images(
        Labelled(labelled.images[~is_test], labelled.labels[~is_test]),
        Labelled(labelled.images[is_test], labelled.labels[is_test]),
    )
