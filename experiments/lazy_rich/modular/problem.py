"""Modular addition as a problem: a `training.Problem`."""

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.pairs import PairsProblem
from models import ModularMLP


class Addition(PairsProblem[Config]):
    """The perceptron and the mean squared error of one-hot sums."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.width = config.width if config.scaling == "mean_field" else 1

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> ModularMLP:
        """The initial network."""
        return ModularMLP(
            self.config.modulus,
            self.config.width,
            activation=self.config.activation,
            scaling=self.config.scaling,
            rngs=rngs,
        )

    def mean_loss(self, outputs: jax.Array, sums: jax.Array) -> jax.Array:
        """The mean squared error over pairs and outputs."""
        targets = jax.nn.one_hot(sums, self.config.modulus)
        return jnp.mean(jnp.square(targets - outputs))

    def features(self, model: ModularMLP, *inputs: jax.Array) -> jax.Array:
        """The hidden units before their activation, whose squares have no pattern."""
        return model.preactivations(*inputs)
