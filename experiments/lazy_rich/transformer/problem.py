"""The transformer as a problem: a `training.Problem`."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.pairs import PairsProblem
from experiments.lazy_rich.transformer.config import Config
from models import GrokkingTransformer


class Transformer(PairsProblem[Config]):
    """The grokking transformer without normalisation, and the cross-entropy."""

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> GrokkingTransformer:
        """The initial network."""
        return GrokkingTransformer(
            self.config.modulus,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            mlp_dim=self.config.mlp_dim,
            position_scale=1.0,
            rngs=rngs,
        )

    def mean_loss(self, outputs: jax.Array, sums: jax.Array) -> jax.Array:
        """The mean cross-entropy."""
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, sums)
        return jnp.mean(losses)

    def features(self, model: GrokkingTransformer, *inputs: jax.Array) -> jax.Array:
        """The hidden units of the MLP."""
        return model.features(*inputs)["mlp_hidden"]
