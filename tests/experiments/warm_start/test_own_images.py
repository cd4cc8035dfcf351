"""Runs on the user's own images, with a network that fits their folder."""

import dataclasses
import math

import jax
import pytest
from flax import nnx

from experiments.harness import family, memory
from experiments.harness.messages import UserError
from experiments.warm_start.config import Config, FolderConfig
from experiments.warm_start.data import FoundSpec, decoding
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.family import FAMILY, num_parameters
from helpers.checkout.image_files import TINY, write_halves


@pytest.fixture
def config(tmp_path, images):
    write_halves(tmp_path / "own", images)
    return dataclasses.replace(
        TINY,
        dataset="folder",
        data_directory=tmp_path / "own",
        num_train_examples=0,
        num_test_examples=0,
    )


def test_resolving_says_what_the_folder_holds(config):
    resolved = FAMILY.resolve(config)
    assert (resolved.num_train, resolved.num_test) == (60, 20)
    assert FAMILY.resolve(config) == FAMILY.resolve(resolved) == resolved
    other = Config()
    assert FAMILY.resolve(other) is other


@pytest.mark.parametrize(
    ("changes", "free", "message"),
    [
        ({"batch_size": 61}, 10**12, "batch_size=61: must be at most the 60 training"),
        ({}, 10**6, "this run needs at least"),
    ],
)
def test_what_does_not_fit_is_not_decoded(config, changes, free, message, monkeypatch):
    monkeypatch.setattr(decoding, "decoded", None)
    monkeypatch.setattr(memory, "available", lambda **_: free)
    with pytest.raises(UserError, match=message):
        FAMILY.resolve(dataclasses.replace(config, **changes))
    assert {path.name for path in config.data_directory.iterdir()} == {"train", "test"}


@pytest.mark.parametrize(
    ("model", "shape", "num_classes"),
    [
        ("cnn", (1, 1, 1), 2),
        ("cnn", (33, 18, 3), 1000),
        ("cnn", (64, 64, 3), 10),
        pytest.param("resnet18", (8, 9, 1), 1000, marks=pytest.mark.slow),
    ],
)
def test_no_more_parameters_are_expected_than_there_are(model, shape, num_classes):
    found = FoundSpec(shape, num_classes, 2000, 100, (0.5,), (0.2,), "")
    config = FolderConfig.of(
        Config(dataset="folder", data_directory=".", model=model, batch_size=2), found
    )
    network = nnx.eval_shape(lambda: Experiment(config)._new_model(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(network, nnx.Param))
    number = sum(math.prod(leaf.shape) for leaf in leaves)
    assert 0.9 * number < num_parameters(config) <= number


@pytest.mark.slow
def test_a_run_is_continued_on_the_same_images_only(config, tmp_path):
    config = dataclasses.replace(config, run_directory=tmp_path / "run")
    _, (summary,) = family.run(FAMILY, FAMILY.resolve(config))
    assert summary["final_train_accuracy"] >= 0
    moved = config.data_directory.rename(tmp_path / "moved")
    config = dataclasses.replace(config, data_directory=moved)
    _, (again,) = family.run(FAMILY, FAMILY.resolve(config))
    assert again == summary
    next((moved / "train/class 1").iterdir()).unlink()
    with pytest.raises(UserError, match=r"another config: images.num_train is 60 ther"):
        family.run(FAMILY, FAMILY.resolve(config))
