"""Classification of images as a problem: a `training.Problem`, and its batches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.argument_errors import flag_of
from experiments.harness.images import fashion_mnist
from experiments.harness.images.data_sets import Images, Labelled
from experiments.harness.members import Hyperparameters
from experiments.harness.messages import UserError
from experiments.lazy_rich.images.config import SPEC, Config
from experiments.lazy_rich.training import Fixed, Network, Training, TrainState
from models import MLP

Predict = Callable[..., jax.Array]


class Parts(NamedTuple):
    """The training set and the test set, on the device, as uint8 and int32."""

    train: Labelled
    test: Labelled


class BatchState(NamedTuple):
    """A `TrainState`, and its position in the training set."""

    params: Any
    opt_state: Any
    step: jax.Array  # () int32


def load(config: Config) -> tuple[Images]:
    """The images of a config, on the device.

    Raises:
      UserError: the files are missing or damaged, or hold too few images.
    """
    images = fashion_mnist.load(config.data_directory)
    for name, part in (("num_train", images.train), ("num_test", images.test)):
        wanted = getattr(config, name)
        if len(part.labels) < wanted:
            raise UserError(
                f"there are {len(part.labels)} images in the files, and {name} asks "
                f"for {wanted}: ask for fewer ({flag_of(name)})"
            )
    return (jax.tree.map(jnp.asarray, images),)


class Classifier:
    """A ReLU network of two hidden layers, on the squared error of one-hot labels."""

    width = 1

    def __init__(self, config: Config):
        self.config = config

    def data(self, key: jax.Array, hyper: Hyperparameters, images: Images) -> Parts:
        """Draws the images of both sets."""
        sizes = (self.config.num_train, self.config.num_test)
        parts = []
        for own, size, part in zip(jax.random.split(key), sizes, images, strict=True):
            rows = jax.random.permutation(own, len(part.labels))[:size]
            parts.append(Labelled(part.images[rows], part.labels[rows]))
        return Parts(*parts)

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> MLP:
        """The initial network."""
        height, width, channels = SPEC.image_shape
        return MLP(
            height * width * channels,
            (self.config.width, self.config.width),
            SPEC.num_classes,
            init_scale=hyper.init_scale,
            rngs=rngs,
        )

    def loss(self, predict: Predict, data: Parts) -> jax.Array:
        """The mean squared error over images and outputs."""
        return _loss_and_accuracy(predict, data.train)[0]

    def measure(
        self, network: Network, data: Parts, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses and accuracies."""
        measured: dict[str, jax.Array] = {}
        for name, part in (("train", data.train), ("test", data.test)):
            loss, accuracy = _loss_and_accuracy(network.predict, part)
            measured |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
        return measured

    def probes(self, data: Parts) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Images of the training set, and their labels as one-hot rows."""
        targets = jax.nn.one_hot(data.train.labels, SPEC.num_classes)
        return (jnp.asarray(data.train.images) / 255.0,), targets

    def features(self, model: MLP, *inputs: jax.Array) -> jax.Array:
        """The second hidden layer."""
        return model.features(*inputs)[-2]


class BatchTraining(Training):
    """Training with one batch of the training set after another, in a fixed order."""

    config: Config

    def init(
        self, seed: jax.Array, hyper: Hyperparameters, *shared: Any
    ) -> tuple[Any, Fixed]:
        """The state of step 0, and the data of one seed."""
        state, fixed = super().init(seed, hyper, *shared)
        return BatchState(*state, jnp.int32(0)), fixed

    def step(
        self, state: Any, hyper: Hyperparameters, fixed: Fixed, *shared: Any
    ) -> Any:
        """One update with the next batch."""
        size = self.config.batch_size
        start = state.step % (self.config.num_train // size) * size
        batch = jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, size),
            fixed.data.train,
        )
        fixed = fixed._replace(data=fixed.data._replace(train=batch))
        after = super().step(TrainState(*state[:2]), hyper, fixed)
        return BatchState(*after, state.step + 1)


def _loss_and_accuracy(predict: Predict, part: Labelled) -> tuple[jax.Array, jax.Array]:
    outputs = predict(jnp.asarray(part.images) / 255.0)
    targets = jax.nn.one_hot(part.labels, SPEC.num_classes)
    accuracy = jnp.mean(jnp.argmax(outputs, axis=1) == part.labels)
    return jnp.mean(jnp.square(targets - outputs)), accuracy
