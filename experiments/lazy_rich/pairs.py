"""Pairs of numbers to add modulo p, in two parts, and the code that tasks share."""

import abc
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.config import PairsConfig
from experiments.lazy_rich.training import Network

ConfigT = TypeVar("ConfigT", bound=PairsConfig)


class Pairs(NamedTuple):
    """Ordered pairs of numbers."""

    x: jax.Array  # (n,) int32
    y: jax.Array  # (n,) int32


class Split(NamedTuple):
    """All pairs, in two parts."""

    train: Pairs
    test: Pairs


def draw_split(key: jax.Array, modulus: int, num_train: int) -> Split:
    """Draws the training pairs; the rest is the test set.

    Args:
      key: of the draw.
      modulus: p; the pairs are all 0 <= x, y < p.
      num_train: how many to train on.
    """
    order = jax.random.permutation(key, modulus**2)
    pairs = Pairs(order // modulus, order % modulus)
    train, test = (
        Pairs(*(number[part] for number in pairs))
        for part in (slice(num_train), slice(num_train, None))
    )
    return Split(train, test)


class PairsProblem(abc.ABC, Generic[ConfigT]):
    """Addition as a `training.Problem`, for any network and loss."""

    width = 1

    def __init__(self, config: ConfigT):
        self.config = config

    @abc.abstractmethod
    def mean_loss(self, outputs: jax.Array, sums: jax.Array) -> jax.Array:
        """Mean loss of outputs, shape (n, p), given the sums modulo p, shape (n,)."""

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Split:
        """Draws the training pairs; the rest is the test set."""
        return draw_split(key, self.config.modulus, self.config.num_train)

    def loss(self, predict: Callable[..., jax.Array], data: Split) -> jax.Array:
        """The mean loss over the training pairs."""
        return self._loss_and_accuracy(predict, data.train)[0]

    def measure(
        self, network: Network, data: Split, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses and accuracies."""
        measured: dict[str, jax.Array] = {}
        for name, pairs in (("train", data.train), ("test", data.test)):
            loss, accuracy = self._loss_and_accuracy(network.predict, pairs)
            measured |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
        return measured

    def probes(self, data: Split) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Training pairs, and their sums as one-hot rows."""
        sums = (data.train.x + data.train.y) % self.config.modulus
        return tuple(data.train), jax.nn.one_hot(sums, self.config.modulus)

    @abc.abstractmethod
    def features(self, model: Any, *inputs: jax.Array) -> jax.Array:
        """The last hidden units of a network, a row for each example."""

    def _loss_and_accuracy(
        self, predict: Callable[..., jax.Array], pairs: Pairs
    ) -> tuple[jax.Array, jax.Array]:
        sums = (pairs.x + pairs.y) % self.config.modulus
        outputs = predict(pairs.x, pairs.y)
        accuracy = jnp.mean(jnp.argmax(outputs, axis=1) == sums)
        return self.mean_loss(outputs, sums), accuracy
