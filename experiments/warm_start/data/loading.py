"""Finds a data set by its name."""

from pathlib import Path

from experiments.harness.images import fashion_mnist
from experiments.harness.images.data_sets import Images
from experiments.warm_start.data import order, prepared


def load(
    dataset: str, directory: Path | None = None, *, download: bool = False
) -> Images:
    """Reads a data set.

    Args:
      dataset: a name in `SPECS`.
      directory: the directory of its files; None for the usual one.
      download: whether to fetch missing files, by tensorflow-datasets.

    Returns:
      All images, train and test, in the order of their digests.

    Raises:
      UserError: the files are missing or damaged; the message names the commands to get
        them.
    """
    if dataset == "fashion_mnist" and fashion_mnist.exists(directory):
        return order.in_order(fashion_mnist.load(directory))
    return prepared.load(dataset, directory, download=download)
