"""The base class of image models, and checks of their arguments."""

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
    """A network that computes logits of images.

    A subclass has two parts: a trunk of convolutions with large outputs, and a head.
    """

    image_shape: tuple[int, ...]

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits of the classes.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          Logits, shape ``(n, num_classes)``.
        """
        return self.logits_and_features(images)[0]

    def features(self, images: jax.Array) -> Features:
        """Features of each layer, after its ReLU.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          Arrays by the names of the layers; see the class.
        """
        return self.logits_and_features(images)[1]

    def logits_and_features(self, images: jax.Array) -> tuple[jax.Array, Features]:
        """Logits and features of one forward pass; under ``jit``, unused ones are free.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.

        Returns:
          The logits as in ``__call__``, and the dictionary of :meth:`features`.
        """
        check_images(images, self.image_shape)
        hidden, of_trunk = self._trunk(images)
        logits, of_head = self._head(hidden)
        return logits, of_trunk | of_head

    def apply_in_slices(self, images: jax.Array, size: int) -> jax.Array:
        """The same logits, with convolutions of a few images at a time.

        On a CPU the slices stay in cache and use several cores. Each slice is a part of
        the compiled program, so use it for batches of training, not for a whole test
        set.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.
          size: number of images in a slice; the last slice may be smaller.

        Returns:
          Logits, shape ``(n, num_classes)``.

        Raises:
          ValueError: if ``size`` is not an int of at least 1, or as ``__call__``.
        """
        check_images(images, self.image_shape)
        check_size("size", size)
        if len(images) <= size:
            return self(images)
        starts = range(0, len(images), size)
        hidden = [self._trunk(images[start : start + size])[0] for start in starts]
        return self._head(jnp.concatenate(hidden))[0]

    @abstractmethod
    def _trunk(self, images: jax.Array) -> tuple[jax.Array, Features]:
        """The inputs of the head, with a leading axis n, and the trunk's features."""

    @abstractmethod
    def _head(self, hidden: jax.Array) -> tuple[jax.Array, Features]:
        """Logits, shape ``(n, num_classes)``, and the head's features."""


def check_size(name: str, size: Any, smallest: int = 1) -> None:
    """Raises unless a size is a whole number of at least ``smallest``."""
    if not _is_size(size, smallest):
        raise ValueError(f"{name} must be an int of at least {smallest}, got {size!r}.")


def check_image_shape(image_shape: Any, name: str = "image_shape") -> None:
    """Raises unless a shape is (height, width, channels), each at least 1."""
    is_triple = isinstance(image_shape, Sequence) and len(image_shape) == 3
    if not is_triple or not all(_is_size(size, 1) for size in image_shape):
        raise ValueError(
            f"{name} must be (height, width, channels), three ints of at least 1, "
            f"got {image_shape!r}."
        )


def check_images(
    images: jax.Array, image_shape: Sequence[int], name: str = "images"
) -> None:
    """Raises unless images are floating, in a batch, and of the model's shape."""
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    is_batch = len(shape) == 4 and shape[1:] == tuple(image_shape)
    if not is_batch or not jnp.issubdtype(dtype, jnp.floating):
        expected = ", ".join(map(str, image_shape))
        raise ValueError(
            f"{name} must be a floating array of shape (n, {expected}), got {dtype} "
            f"of shape {shape}."
        )


def _is_size(size: Any, smallest: int) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size >= smallest
