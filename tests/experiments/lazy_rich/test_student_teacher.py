"""Student and teacher: their data, what counts as right, and the initial scale."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.lazy_rich.hermite.family import FAMILY as HERMITE
from experiments.lazy_rich.images.family import FAMILY as IMAGES
from experiments.lazy_rich.student_teacher.config import Config
from experiments.lazy_rich.student_teacher.family import FAMILY as STUDENT_TEACHER
from experiments.lazy_rich.student_teacher.family import num_params
from experiments.lazy_rich.student_teacher.problem import Student
from experiments.lazy_rich.training import Network, Training

CONFIG = Config(num_train=6, num_test=9, num_inputs=3, num_outputs=2, width=4)


def test_the_test_set_does_not_depend_on_the_training_set():
    data = Student(CONFIG).data(jax.random.key(0), None)
    assert data.train.inputs.shape == (6, 3)
    assert data.test.targets.shape == (9, 2)
    again = Student(dataclasses.replace(CONFIG, num_train=9)).data(
        jax.random.key(0), None
    )
    np.testing.assert_array_equal(data.test.inputs, again.test.inputs)
    np.testing.assert_array_equal(data.test.targets, again.test.targets)
    assert not np.array_equal(data.test.inputs, again.train.inputs)


def test_an_example_is_right_within_the_tolerance():
    data = Student(CONFIG).data(jax.random.key(0), None)
    errors = jnp.array([0.0, 0.01, 0.03, 0.05, 0.05, 0.05])
    hyper = hyperparameters(dataclasses.replace(CONFIG, tolerance=0.001))

    def predict(inputs):
        off = errors if len(inputs) == 6 else jnp.ones(9)
        targets = data.train.targets if len(inputs) == 6 else data.test.targets
        # One of two outputs is off, so the mean squared error is half its square.
        return targets + off[:, None] * jnp.array([[1.0, 0.0]])

    measured = Student(CONFIG).measure(Network(None, None, predict), data, hyper)
    np.testing.assert_allclose(measured["train_accuracy"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(measured["train_loss"], np.mean(errors**2) / 2, 1e-4)
    np.testing.assert_allclose(measured["test_loss"], 0.5, rtol=1e-5)
    assert measured["test_accuracy"] == 0


def test_the_student_starts_larger_than_the_teacher():
    def params(scale):
        config = dataclasses.replace(CONFIG, init_scale=scale)
        own = Training(config, Student(config))
        return own.init(jnp.uint32(0), hyperparameters(config))[0].params

    one, three = params(1.0), params(3.0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(3 * a, b, rtol=1e-6), one, three
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(one)) == num_params(CONFIG)


@pytest.mark.parametrize("family", [STUDENT_TEACHER, HERMITE, IMAGES])
def test_the_memory_of_an_evaluation_counts(family):
    config = family.config_class(num_test=10_000)
    assert family.memory(config).step >= 4 * config.num_test * config.width
