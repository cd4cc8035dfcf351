"""The transformer as a problem: a `training.Problem`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.pairs import Pairs, Split, draw_split
from experiments.lazy_rich.training import Network
from experiments.lazy_rich.transformer.config import Config
from models import GrokkingTransformer

Predict = Callable[..., jax.Array]


class Transformer:
    """The grokking transformer without normalisation, its pairs and cross-entropy."""

    width = 1

    def __init__(self, config: Config):
        self.config = config

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Split:
        """Draws the training pairs; the rest is the test set."""
        return draw_split(key, self.config.modulus, self.config.num_train)

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> GrokkingTransformer:
        """The network at first."""
        return GrokkingTransformer(
            self.config.modulus,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            mlp_dim=self.config.mlp_dim,
            position_scale=1.0,
            rngs=rngs,
        )

    def loss(self, predict: Predict, data: Split) -> jax.Array:
        """The mean cross-entropy."""
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
        logits = predict(pairs.x, pairs.y)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, sums)
        return jnp.mean(losses), jnp.mean(jnp.argmax(logits, axis=1) == sums)
