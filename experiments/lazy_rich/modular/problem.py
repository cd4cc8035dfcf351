"""Modular addition as a problem: a `training.Problem`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.training import Network
from models import ModularMLP

Predict = Callable[..., jax.Array]


class Pairs(NamedTuple):
    """Ordered pairs of numbers."""

    x: jax.Array  # (n,) int32
    y: jax.Array  # (n,) int32


class Split(NamedTuple):
    """All pairs, in two parts."""

    train: Pairs
    test: Pairs


class Addition:
    """The perceptron, its pairs and the mean squared error of one-hot sums."""

    def __init__(self, config: Config):
        self.config = config
        self.width = config.width if config.scaling == "mean_field" else 1

    def data(self, key: jax.Array) -> Split:
        """Draws the training pairs; the rest is the test set."""
        order = jax.random.permutation(key, self.config.modulus**2)
        pairs = Pairs(order // self.config.modulus, order % self.config.modulus)
        num = self.config.num_train
        return Split(Pairs(*(a[:num] for a in pairs)), Pairs(*(a[num:] for a in pairs)))

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> ModularMLP:
        """The network at first."""
        return ModularMLP(
            self.config.modulus,
            self.config.width,
            activation=self.config.activation,
            scaling=self.config.scaling,
            rngs=rngs,
        )

    def loss(self, predict: Predict, data: Split) -> jax.Array:
        """The mean squared error over pairs and outputs."""
        return self._loss_and_accuracy(predict, data.train)[0]

    def measure(
        self, network: Network, data: Split, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses and accuracies."""
        train_loss, train_accuracy = self._loss_and_accuracy(
            network.predict, data.train
        )
        test_loss, test_accuracy = self._loss_and_accuracy(network.predict, data.test)
        return {
            "train_loss": train_loss,
            "test_loss": test_loss,
            "train_accuracy": train_accuracy,
            "test_accuracy": test_accuracy,
        }

    def _loss_and_accuracy(
        self, predict: Predict, pairs: Pairs
    ) -> tuple[jax.Array, jax.Array]:
        sums = (pairs.x + pairs.y) % self.config.modulus
        outputs = predict(pairs.x, pairs.y)
        targets = jax.nn.one_hot(sums, self.config.modulus)
        accuracy = jnp.mean(jnp.argmax(outputs, axis=1) == sums)
        return jnp.mean(jnp.square(targets - outputs)), accuracy
