"""Modular addition as a problem: a `training.Problem`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.pairs import Pairs, Split, draw_split
from experiments.lazy_rich.training import Network
from models import ModularMLP

Predict = Callable[..., jax.Array]


class Addition:
    """The perceptron, its pairs and the mean squared error of one-hot sums."""

    def __init__(self, config: Config):
        self.config = config
        self.width = config.width if config.scaling == "mean_field" else 1

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Split:
        """Draws the training pairs; the rest is the test set."""
        return draw_split(key, self.config.modulus, self.config.num_train)

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
        measured: dict[str, jax.Array] = {}
        for name, pairs in (("train", data.train), ("test", data.test)):
            loss, accuracy = self._loss_and_accuracy(network.predict, pairs)
            measured |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
        return measured

    def _loss_and_accuracy(
        self, predict: Predict, pairs: Pairs
    ) -> tuple[jax.Array, jax.Array]:
        sums = (pairs.x + pairs.y) % self.config.modulus
        outputs = predict(pairs.x, pairs.y)
        targets = jax.nn.one_hot(sums, self.config.modulus)
        accuracy = jnp.mean(jnp.argmax(outputs, axis=1) == sums)
        return jnp.mean(jnp.square(targets - outputs)), accuracy
