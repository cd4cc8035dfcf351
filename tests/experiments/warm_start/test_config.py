"""The settings: the numbers that follow from them, and refused values."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.warm_start.config import DEFAULT_STRENGTHS, Config, FolderConfig
from experiments.warm_start.data import FoundSpec


def test_the_defaults_are_the_papers_lengths():
    config = Config()
    assert config.phase_steps == 14_000
    assert config.num_steps == 28_000
    np.testing.assert_array_equal(config.examples_by_phase, [5000, 50_000])


def test_phases_are_equal_in_updates_and_add_equal_parts():
    config = Config(
        num_phases=10, num_train_examples=1000, batch_size=100, epochs_per_phase=3
    )
    assert config.phase_steps == 30
    np.testing.assert_array_equal(config.examples_by_phase, np.arange(1, 11) * 100)


def test_one_phase_has_everything():
    config = Config(num_phases=1, initial_fraction=1.0)
    np.testing.assert_array_equal(config.examples_by_phase, [50_000])


def test_a_method_has_its_usual_strength_or_the_one_that_is_named():
    assert Config().method_strength == 0
    assert Config(method="full_reset").method_strength == 0
    for method, usual in DEFAULT_STRENGTHS.items():
        assert Config(method=method).method_strength == usual
        assert Config(method=method, strength=0.25).method_strength == 0.25


FOLDER = {"dataset": "folder", "data_directory": Path("own")}


def test_of_a_folder_it_is_known_later_how_many_images_there_are():
    config = Config(**FOLDER, batch_size=20, seed=3)
    assert not config.is_resolved
    found = FoundSpec((8, 8, 3), 4, 2000, 100, (0.5,) * 3, (0.2,) * 3, "abc")
    resolved = FolderConfig.of(config, found)
    assert resolved.is_resolved
    assert (resolved.num_train, resolved.num_test, resolved.seed) == (2000, 100, 3)
    assert resolved.spec is found
    assert resolved.phase_steps == 7000
    assert Config().is_resolved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 2001}, "batch_size=2001: must be at most the 2000 training ex"),
        ({"batch_size": 201}, "initial_fraction=0.1: must be large enough for one"),
        ({"num_train_examples": 2001}, "num_train_examples=2001: must be at least 0"),
        ({"num_test_examples": 101}, "num_test_examples=101: must be at least 0"),
    ],
)
def test_what_a_folder_has_too_little_of_is_named(changes, message):
    config = Config(**FOLDER, **changes)
    found = FoundSpec((8, 8, 3), 4, 2000, 100, (0.5,) * 3, (0.2,) * 3, "abc")
    with pytest.raises(ValueError, match=re.escape(message)):
        FolderConfig.of(config, found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial_fraction": 0}, "initial_fraction=0: must be greater than 0 and"),
        ({"initial_fraction": 1.5}, "initial_fraction=1.5: must be"),
        ({"num_phases": 1}, "num_phases=1: must be at least 2, or the data are never"),
        (
            {"initial_fraction": 0.004},
            "initial_fraction=0.004: must be large enough for one batch: it leaves 200 "
            "of 50000 examples, and batch_size is 250 (--initial-fraction)",
        ),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
        ({"num_seeds": 1001}, "num_seeds=1001: must be at least 1 and at most 1000"),
        ({"epochs_per_phase": 10**7}, "epochs_per_phase=10000000: must be less"),
        ({"low_learning_rate": 1}, "low_learning_rate=1: must be at least 0 and"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: must be"),
        ({"label_noise": -0.1}, "label_noise=-0.1: must be"),
        ({"num_train_examples": 50_001}, "num_train_examples=50001: must be"),
        (
            {"dataset": "fashion_mnist", "num_train_examples": 60_001},
            "num_train_examples=60001: must be at least 0 and at most 60000",
        ),
        ({"num_test_examples": 10_001}, "num_test_examples=10001: must be"),
        ({"strength": 0.5}, "strength=0.5: must be left out with method=none"),
        (
            {"strength": 1.5, "method": "shrink_and_perturb"},
            "strength=1.5: must be at most 1",
        ),
        (
            {"strength": 0, "method": "weight_clipping"},
            "strength=0: must be greater than 0",
        ),
        (
            {"num_train_examples": 100, "initial_fraction": 1.0},
            "batch_size=250: must be at most the 100 training examples",
        ),
        (
            {"normalize_hidden": True, "model": "resnet18"},
            "normalize_hidden=True: must be left out with model=resnet18",
        ),
        (
            {"downsampling": "max_pool", "model": "resnet18"},
            "downsampling=max_pool: must be left out with model=resnet18",
        ),
        (
            {"offsets": False, "model": "resnet18"},
            "offsets=False: must be left out with model=resnet18",
        ),
        ({"growth": 3.0}, "growth=3.0: must be left out with schedule=aligned"),
        (
            {"num_phases": 1, "initial_fraction": 1.0, "method": "full_reset"},
            "method=full_reset: must be another with num_phases=1, where no data",
        ),
        (
            {"dataset": "folder"},
            "data_directory=None: must be the folder of the images",
        ),
        (
            {**FOLDER, "download": True},
            "download=True: must be left out with dataset=folder",
        ),
        ({**FOLDER, "num_phases": 1}, "num_phases=1: must be at least 2"),
        ({**FOLDER, "num_test_examples": -1}, "num_test_examples=-1: must be at least"),
        ({"seed": 2**32}, "seed=4294967296: must be such that"),
        ({"growth": 0}, "growth=0: must be greater than 0"),
        ({"warmup_fraction": 1}, "warmup_fraction=1: must be"),
    ],
)
def test_what_is_out_of_range_is_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Config(**changes)
