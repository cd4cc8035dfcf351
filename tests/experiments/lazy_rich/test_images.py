"""Lazy classification of images: their draw, and the batches of an update."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.harness.messages import UserError
from experiments.lazy_rich.images.config import Config
from experiments.lazy_rich.images.family import num_params, summarize
from experiments.lazy_rich.images.problem import BatchTraining, Classifier, load

CONFIG = Config(num_train=12, num_test=8, batch_size=6, width=4)


def test_each_seed_draws_images_of_its_own(images):
    config = dataclasses.replace(CONFIG, num_train=60)
    draws = [
        Classifier(config).data(jax.random.key(seed), None, images) for seed in (0, 1)
    ]
    for data in draws:
        order = np.lexsort(data.train.images.reshape(60, -1).T)
        whole = np.lexsort(images.train.images.reshape(60, -1).T)
        np.testing.assert_array_equal(
            data.train.images[order], images.train.images[whole]
        )
        np.testing.assert_array_equal(
            data.train.labels[order], images.train.labels[whole]
        )
        assert len(data.test.labels) == 8
    assert not np.array_equal(draws[0].train.labels, draws[1].train.labels)


def test_an_update_reads_the_next_batch(images):
    own = BatchTraining(CONFIG, Classifier(CONFIG))
    hyper = hyperparameters(CONFIG)
    state, fixed = own.init(jnp.uint32(0), hyper, images)
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == num_params(
        CONFIG
    )

    def without(rows):
        """What two updates do if these training images are dark."""
        dark = fixed.data.train.images.copy()
        dark[rows] = 0
        train = fixed.data.train._replace(images=dark)
        other = fixed._replace(data=fixed.data._replace(train=train))
        first = own.step(state, hyper, other)
        return first.params, own.step(first, hyper, other).params

    def same(a, b):
        return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))

    first, second = without(slice(0))
    no_first_batch, _ = without(slice(6))
    same_first, no_second_batch = without(slice(6, 12))
    assert same(first, same_first)
    assert not same(first, no_first_batch)
    assert not same(second, no_second_batch)


def test_the_summary_says_when_test_images_are_learned():
    rows = [
        {
            **{"step": step, "train_loss": 0.1, "test_loss": 0.1, "seed": 0},
            **{"train_accuracy": 1.0, "test_accuracy": accuracy},
            **{"weight_norm_ratio": 1.0, "parameter_movement": 0.0},
        }
        for step, accuracy in [(100, 0.5), (200, 0.6), (300, 0.76)]
    ]
    assert summarize(rows, CONFIG)["steps_to_test_accuracy"] == {
        **{"0.6": 300, "0.75": 300},
        "0.8": None,
    }


def test_too_few_images_are_one_line(idx_directory):
    config = dataclasses.replace(CONFIG, data_directory=idx_directory, num_test=30)
    with pytest.raises(UserError, match=r"20 images .* num_test asks for 30"):
        load(config)
