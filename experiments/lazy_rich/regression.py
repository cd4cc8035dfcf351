"""Inputs with targets, in two parts, and the code of tasks with squared errors."""

import abc
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.config import LazyConfig
from experiments.lazy_rich.training import Network

ConfigT = TypeVar("ConfigT", bound=LazyConfig)
Predict = Callable[..., jax.Array]


class Examples(NamedTuple):
    """Inputs and their targets."""

    inputs: jax.Array  # (n, D)
    targets: jax.Array  # (n,), or (n, outputs)


class Parts(NamedTuple):
    """The training set and the test set."""

    train: Examples
    test: Examples


def mean_squared_error(predict: Predict, examples: Examples) -> jax.Array:
    """The mean squared error over examples and outputs, shape ()."""
    return jnp.mean(jnp.square(examples.targets - predict(examples.inputs)))


class RegressionProblem(abc.ABC, Generic[ConfigT]):
    """A regression as a `training.Problem`, for any network and targets."""

    def __init__(self, config: ConfigT):
        self.config = config

    def loss(self, predict: Predict, data: Parts) -> jax.Array:
        """The mean squared error on the training set."""
        return mean_squared_error(predict, data.train)

    def measure(
        self, network: Network, data: Parts, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses."""
        return {
            f"{name}_loss": mean_squared_error(network.predict, part)
            for name, part in (("train", data.train), ("test", data.test))
        }

    def probes(self, data: Parts) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Inputs and targets of the training set."""
        return (data.train.inputs,), data.train.targets

    @abc.abstractmethod
    def features(self, model: Any, *inputs: jax.Array) -> jax.Array:
        """The last hidden units of a network, a row for each example."""
