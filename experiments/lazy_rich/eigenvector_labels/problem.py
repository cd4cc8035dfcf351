"""Eigenvectors as labels: a `training.Problem`."""

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.eigenvector_labels.config import Config
from experiments.lazy_rich.polynomial import moments, theory
from experiments.lazy_rich.regression import Examples, Parts, RegressionProblem
from experiments.lazy_rich.training import Network
from models import CommitteeMachine
from nap_optax import metrics


class Eigenvector(RegressionProblem[Config]):
    """A committee machine on labels of mean square 1 over both sets."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.width = config.width

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Parts:
        """Draws inputs, and takes an eigenvector of their kernel for labels."""
        config = self.config
        shape = (config.num_inputs, config.dimension)
        inputs = jax.random.normal(key, shape) / config.dimension**0.5
        isotropic = moments.Moments(
            jnp.zeros(config.dimension), jnp.eye(config.dimension)
        )
        kernel = theory.tangent_kernel(inputs, inputs, isotropic, hyper.epsilon)
        vectors = jnp.linalg.eigh(kernel)[1]  # ascending
        labels = vectors[:, -config.eigenvector] * config.num_inputs**0.5
        # The inputs are in no order, so their first ones are a random part.
        parts = (slice(config.num_train), slice(config.num_train, None))
        return Parts(*(Examples(inputs[part], labels[part]) for part in parts))

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> CommitteeMachine:
        """The initial network."""
        return CommitteeMachine(
            self.config.dimension, self.config.width, epsilon=hyper.epsilon, rngs=rngs
        )

    def measure(
        self, network: Network, data: Parts, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses, and the alignment of the kernel with the training labels."""
        now = moments.moments_of(network.params["hidden"]["kernel"])
        inputs, targets = data.train
        kernel = theory.tangent_kernel(inputs, inputs, now, hyper.epsilon)
        return {
            **super().measure(network, data, hyper),
            "kernel_alignment": metrics.kernel_target_alignment(kernel, targets),
        }

    def features(self, model: CommitteeMachine, *inputs: jax.Array) -> jax.Array:
        """The units before their curvature."""
        return model.hidden(*inputs)
