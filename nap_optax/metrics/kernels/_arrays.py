"""Checks of kernels and targets, which are plain matrices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms

__all__ = ["as_kernel", "as_targets"]


def as_kernel(name: str, kernel: Any) -> jax.Array:
    """A square matrix of real numbers, in float32 at least.

    Raises:
      ValueError: if it is none.
    """
    _checks.array(name, kernel)
    shape = jnp.shape(kernel)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(f"{name} must have shape (n, n), got shape {shape}")
    return _real(name, kernel)


def as_targets(name: str, targets: Any, num_examples: int) -> jax.Array:
    """Targets as a matrix, shape ``(n, k)``, in float32 at least.

    Raises:
      ValueError: if they are no real numbers of shape ``(n,)`` or ``(n, k)``.
    """
    _checks.array(name, targets)
    shape = jnp.shape(targets)
    if len(shape) not in (1, 2) or shape[0] != num_examples:
        n = num_examples
        raise ValueError(
            f"{name} must have shape ({n},) or ({n}, k), as the kernel has {n} rows, "
            f"got shape {shape}"
        )
    targets = _real(name, targets)
    return targets[:, None] if targets.ndim == 1 else targets


def _real(name: str, array: Any) -> jax.Array:
    array = _norms.widened(array)
    if jnp.iscomplexobj(array):
        raise ValueError(f"{name} must be real, got {array.dtype}")
    return array
