"""A polynomial of Hermite's as a problem: a `training.Problem`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.hermite.config import Config
from experiments.lazy_rich.training import Network
from models import CommitteeMachine
from models.committee import hermite

Predict = Callable[..., jax.Array]


class Examples(NamedTuple):
    """Inputs and their targets."""

    inputs: jax.Array  # (n, D)
    targets: jax.Array  # (n,)


class Parts(NamedTuple):
    """What is trained on, and what is tested with."""

    train: Examples
    test: Examples


class Polynomial:
    """He_k of one projection over the root of k!: a target of mean square 1."""

    def __init__(self, config: Config):
        self.config = config
        self.width = config.width

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Parts:
        """Draws a direction and inputs."""
        config = self.config
        direction_key, *keys = jax.random.split(key, 3)
        direction = jax.random.normal(direction_key, (config.dimension,))
        direction /= jnp.linalg.norm(direction)
        sizes = (config.num_train, config.num_test)
        return Parts(
            *(
                self._examples(own, size, direction)
                for own, size in zip(keys, sizes, strict=True)
            )
        )

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> CommitteeMachine:
        """The network at first."""
        return CommitteeMachine(
            self.config.dimension,
            self.config.width,
            epsilon=hyper.epsilon,
            nonlinearity=hermite(self.config.degree),
            rngs=rngs,
        )

    def loss(self, predict: Predict, data: Parts) -> jax.Array:
        """The mean squared error."""
        return _loss(predict, data.train)

    def measure(
        self, network: Network, data: Parts, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses."""
        return {
            "train_loss": _loss(network.predict, data.train),
            "test_loss": _loss(network.predict, data.test),
        }

    def probes(self, data: Parts) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Inputs and targets of the training set."""
        return (data.train.inputs,), data.train.targets

    def features(self, model: CommitteeMachine, *inputs: jax.Array) -> jax.Array:
        """The units before their curvature."""
        return model.hidden(*inputs)

    def _examples(self, key: jax.Array, size: int, direction: jax.Array) -> Examples:
        projections = jax.random.normal(key, (size, self.config.dimension))
        degree = self.config.degree
        targets = (
            hermite(degree)(projections @ direction) / math.factorial(degree) ** 0.5
        )
        return Examples(projections / self.config.dimension**0.5, targets)


def _loss(predict: Predict, examples: Examples) -> jax.Array:
    return jnp.mean(jnp.square(examples.targets - predict(examples.inputs)))
