"""Checks of arguments that the models of images share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["check_image_shape", "check_images", "check_size"]


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
