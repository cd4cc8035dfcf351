"""The one order of a data set's examples, wherever they come from."""

import hashlib

import numpy as np

from experiments.harness.images.data_sets import Images, Labelled

TEST_PART = 5
"""One in so many examples of a class is set aside to test on."""


def in_order(images: Images) -> Images:
    """Both halves of a data set in the order of the examples' digests.

    Sources differ in their order, and tensorflow-datasets shuffles. In this one, which
    is as good as random, a seed draws the same images wherever they come from.
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
    """How many examples of each class `set_aside` leaves for testing."""
    return np.maximum(counts // TEST_PART, 1)


def set_aside(labelled: Labelled) -> Images:
    """Divides examples, which are in order, in two halves, each of them in order.

    The first fifth of each class is to test on, at least one example. That they are
    first depends on pixels and label only, so names and places of files do not matter.
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
