"""What the models of images share: their parts, and the checks of arguments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = ["ImageClassifier", "check_image_shape", "check_images", "check_size"]

Features = dict[str, jax.Array]


class ImageClassifier(nnx.Module):
    """A network of a trunk and a head, which computes logits.

    A training step may take the trunk some images at a time and the head with all of
    them (``experiments.harness.backend`` says where that is faster).
    """

    image_shape: tuple[int, ...]
    channels: int
    """Outputs of the first convolution, the narrowest."""

    @abstractmethod
    def trunk(self, images: jax.Array) -> tuple[jax.Array, Features]:
        """The first layers, convolutions of large images.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          What the head reads, with a leading axis n, and the features of these layers.
        """

    @abstractmethod
    def head(self, hidden: jax.Array) -> tuple[jax.Array, Features]:
        """The layers after the trunk.

        Args:
          hidden: what the trunk returned.

        Returns:
          Logits, shape ``(n, num_classes)``, and the features of these layers.
        """

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits of the classes.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          Logits, shape ``(n, num_classes)``.
        """
        return self.logits_and_features(images)[0]

    def features(self, images: jax.Array) -> Features:
        """What each layer computes, after its ReLU.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          Arrays by the names of the layers, as the class says.
        """
        return self.logits_and_features(images)[1]

    def logits_and_features(self, images: jax.Array) -> tuple[jax.Array, Features]:
        """Both of one forward pass; under ``jit``, what is not used costs nothing.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          The logits as of ``__call__``, and the dictionary of :meth:`features`.
        """
        check_images(images, self.image_shape)
        hidden, of_trunk = self.trunk(images)
        logits, of_head = self.head(hidden)
        return logits, of_trunk | of_head


def check_size(name: str, size: Any, smallest: int = 1) -> None:
    """Raises unless a size is a whole number of at least ``smallest``."""
    if not _is_size(size, smallest):
        raise ValueError(f"{name} must be an int of at least {smallest}, got {size!r}.")


def check_image_shape(image_shape: Any) -> None:
    """Raises unless a shape is (height, width, channels), each at least 1."""
    is_triple = isinstance(image_shape, Sequence) and len(image_shape) == 3
    if not is_triple or not all(_is_size(size, 1) for size in image_shape):
        raise ValueError(
            "image_shape must be (height, width, channels), three ints of at least 1, "
            f"got {image_shape!r}."
        )


def check_images(images: jax.Array, image_shape: Sequence[int]) -> None:
    """Raises unless images are floating, in a batch, and of the model's shape."""
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    is_batch = len(shape) == 4 and shape[1:] == tuple(image_shape)
    if not is_batch or not jnp.issubdtype(dtype, jnp.floating):
        expected = ", ".join(map(str, image_shape))
        raise ValueError(
            f"images must be a floating array of shape (n, {expected}), got {dtype} "
            f"of shape {shape}."
        )


def _is_size(size: Any, smallest: int) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size >= smallest
