"""Loads the data of a run from files to the device."""

import functools
from pathlib import Path

import jax.numpy as jnp

from experiments.harness.argument_errors import flag_of
from experiments.harness.messages import UserError
from experiments.warm_start import data
from experiments.warm_start.config import Config
from experiments.warm_start.data import own_images
from experiments.warm_start.task import Arrays


def load_arrays(config: Config) -> Arrays:
    """The data set of a config, on the device.

    Raises:
      UserError: its files are missing or damaged, or have too few examples.
    """
    images = _loaded(
        config.dataset, config.data_directory, config.download, config.spec
    )
    num_test = config.num_test
    for name, there, wanted in (
        ("num_train_examples", len(images.train.labels), config.num_train),
        ("num_test_examples", len(images.test.labels), num_test),
    ):
        if there < wanted:
            raise UserError(
                f"{config.dataset} has {there} examples here and {name} asks for "
                f"{wanted}: bring all of it, or ask for fewer ({flag_of(name)})"
            )
    return Arrays(
        train_images=jnp.asarray(images.train.images),
        train_labels=jnp.asarray(images.train.labels),
        test_images=jnp.asarray(images.test.images[:num_test]),
        test_labels=jnp.asarray(images.test.labels[:num_test]),
    )


@functools.lru_cache(maxsize=1)
def _loaded(
    dataset: str, directory: Path | None, download: bool, spec: data.Spec
) -> data.Images:
    # A figure runs several groups of arms on one data set.
    if directory is not None and isinstance(spec, data.FoundSpec):
        return own_images.load(directory, spec)
    return data.load(dataset, directory, download=download)
