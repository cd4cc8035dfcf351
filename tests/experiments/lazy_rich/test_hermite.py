"""Polynomials of Hermite's: what the target is, and that the network can express it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.lazy_rich.hermite.config import Config
from experiments.lazy_rich.hermite.problem import Polynomial

CONFIG = Config(dimension=6, num_train=40_000, num_test=10, width=4)
POLYNOMIALS = {
    2: lambda z: (z**2 - 1) / 2**0.5,
    3: lambda z: (z**3 - 3 * z) / 6**0.5,
    4: lambda z: (z**4 - 6 * z**2 + 3) / 24**0.5,
}


def data(config):
    return Polynomial(config).data(jax.random.key(0), hyperparameters(config))


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_the_target_is_the_polynomial_of_one_projection(degree):
    train, test = data(dataclasses.replace(CONFIG, degree=degree))
    np.testing.assert_allclose(np.mean(train.inputs**2), 1 / 6, rtol=0.02)
    np.testing.assert_allclose(np.mean(train.targets), 0, atol=0.05)
    np.testing.assert_allclose(np.mean(train.targets**2), 1, rtol=0.2)
    # Of the test inputs, on the direction that the key of the data draws.
    direction = jax.random.normal(jax.random.split(jax.random.key(0), 3)[0], (6,))
    z = test.inputs @ (direction / jnp.linalg.norm(direction)) * 6**0.5
    np.testing.assert_allclose(
        test.targets, POLYNOMIALS[degree](z), rtol=1e-3, atol=1e-4
    )


def test_the_loss_of_the_zero_network_is_that_of_the_targets():
    drawn = data(CONFIG)
    loss = Polynomial(CONFIG).loss(lambda x: jnp.zeros(len(x)), drawn)
    np.testing.assert_allclose(loss, np.mean(drawn.train.targets**2), rtol=1e-5)
