"""Student and teacher as a problem: a `training.Problem`."""

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.regression import Examples, Parts, Predict, RegressionProblem
from experiments.lazy_rich.student_teacher.config import Config
from experiments.lazy_rich.training import Network
from models import MLP


class Student(RegressionProblem[Config]):
    """A tanh network of two hidden layers, on the squared error."""

    width = 1

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Parts:
        """Draws a teacher and inputs."""
        teacher_key, *keys = jax.random.split(key, 3)
        teacher = self._network(1.0, nnx.Rngs(teacher_key))
        sizes = (self.config.num_train, self.config.num_test)
        inputs = [
            jax.random.normal(own, (size, self.config.num_inputs))
            for own, size in zip(keys, sizes, strict=True)
        ]
        return Parts(*(Examples(part, teacher(part)) for part in inputs))

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> MLP:
        """The initial student."""
        return self._network(hyper.init_scale, rngs)

    def loss(self, predict: Predict, data: Parts) -> jax.Array:
        """The mean squared error over examples and outputs."""
        return jnp.mean(_errors(predict, data.train))

    def measure(
        self, network: Network, data: Parts, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses, and shares of examples within the tolerance."""
        measured: dict[str, jax.Array] = {}
        for name, part in (("train", data.train), ("test", data.test)):
            errors = _errors(network.predict, part)
            measured[f"{name}_loss"] = jnp.mean(errors)
            measured[f"{name}_accuracy"] = jnp.mean(errors < hyper.tolerance)
        return measured

    def features(self, model: MLP, *inputs: jax.Array) -> jax.Array:
        """The second hidden layer."""
        return model.features(*inputs)[-2]

    def _network(self, scale: float | jax.Array, rngs: nnx.Rngs) -> MLP:
        config = self.config
        return MLP(
            config.num_inputs,
            (config.width, config.width),
            config.num_outputs,
            activation=jnp.tanh,
            init_scale=scale,
            rngs=rngs,
        )


def _errors(predict: Predict, examples: Examples) -> jax.Array:
    """The mean squared error of each example."""
    squares = jnp.square(examples.targets - predict(examples.inputs))
    return jnp.mean(squares, axis=1)
