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
    """A network that computes logits of images.

    A subclass divides its layers in two: a trunk of convolutions of large images, and a
    head.
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
        hidden, of_trunk = self._trunk(images)
        logits, of_head = self._head(hidden)
        return logits, of_trunk | of_head

    def apply_in_slices(self, images: jax.Array, size: int) -> jax.Array:
        """The same logits, the convolutions of some images at a time.

        On a CPU the slices stay in cache and occupy several cores. Each is a part of
        the compiled program, so it is for batches of training, not for a whole test
        set.

        Args:
          images: a batch of images, shape ``(n, height, width, channels)``, floating.
          size: how many images are in a slice; the last one may be smaller.

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
        """What the head reads, with a leading axis n, and the trunk's features."""

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
