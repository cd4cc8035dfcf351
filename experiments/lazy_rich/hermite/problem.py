"""A polynomial of Hermite's as a problem: a `training.Problem`."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.hermite.config import Config
from experiments.lazy_rich.regression import Examples, Parts, RegressionProblem
from models import CommitteeMachine
from models.committee import hermite


class Polynomial(RegressionProblem[Config]):
    """He_k of one projection over the root of k!: a target of mean square 1."""

    def __init__(self, config: Config):
        super().__init__(config)
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
        """The initial network."""
        return CommitteeMachine(
            self.config.dimension,
            self.config.width,
            epsilon=hyper.epsilon,
            nonlinearity=hermite(self.config.degree),
            rngs=rngs,
        )

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
