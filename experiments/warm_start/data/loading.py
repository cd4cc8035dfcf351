"""How a data set is found by its name."""

import hashlib
from pathlib import Path

from experiments.warm_start.data import fashion_mnist, prepared
from experiments.warm_start.data.images import Images, Labelled


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
    if dataset == "fashion_mnist" and fashion_mnist.exists(directory):
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
