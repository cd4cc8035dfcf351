"""Norms of leaves, in float32 at least, whatever dtype the leaves have."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import _leaves

__all__ = [
    "axes_of",
    "is_readable",
    "is_usable",
    "leaf_norm",
    "norm",
    "norm_dtype",
    "ratio",
    "root",
    "scaled",
    "widened",
]


def norm(weights: jax.Array, axes: tuple[int, ...] | None = None) -> jax.Array:
    """The Frobenius norm over some axes.

    Args:
      weights: real or complex, of :func:`norm_dtype`.
      axes: the axes of the norm; ``None`` for all.

    Returns:
      Shape ``()`` if ``axes`` is ``None``, else the shape of ``weights`` with 1 on
      ``axes``.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(norm(jnp.array([[3.0, 0.0], [4.0, 1.0]]), (0,)))
      [[5. 1.]]
    """
    squares = jnp.real(weights * jnp.conj(weights))
    return root(jnp.sum(squares, axis=axes, keepdims=axes is not None))


def root(squared: jax.Array) -> jax.Array:
    """The square root, with a derivative of zero at zero.

    An infinite derivative would become NaN behind a ``where`` that avoids a division by
    zero.

    Examples:
      >>> import jax
      >>> print(root(9.0), jax.grad(root)(0.0))
      3.0 0.0
    """
    is_zero = squared == 0
    return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squared)))


def axes_of(shape: tuple[int, ...], norm: jax.Array) -> tuple[int, ...] | None:
    """The axes of an array over which a norm was taken; ``None`` for all.

    Examples:
      >>> import jax.numpy as jnp
      >>> axes_of((3, 2, 2), jnp.ones((3, 1, 1))), axes_of((2, 2), jnp.ones(()))
      ((1, 2), None)
    """
    if not norm.ndim:
        return None
    pairs = zip(shape, norm.shape, strict=True)
    return tuple(i for i, (size, kept) in enumerate(pairs) if size != kept)


def leaf_norm(leaf: Any, axes: tuple[int, ...] | None = None) -> jax.Array:
    """The Frobenius norm of a leaf, as in :func:`norm`: real, in :func:`norm_dtype`.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(leaf_norm(jnp.full(4, 300.0, jnp.float16)))  # its squares overflow
      600.0
    """
    return norm(widened(leaf), axes)


def norm_dtype(leaf: Any) -> Any:
    """The dtype in which to take a leaf's norm: its own, but float32 at least.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(norm_dtype(jnp.ones(2, jnp.bfloat16)))
      float32
    """
    dtype = jnp.result_type(leaf)
    # Jax does not promote floats of 8 bits or fewer.
    if jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits <= 8:
        return jnp.dtype(jnp.float32)
    with jax.numpy_dtype_promotion("standard"):  # the caller's may be "strict"
        return jnp.promote_types(dtype, jnp.float32)


def widened(array: Any) -> jax.Array:
    """The array in :func:`norm_dtype`.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(widened(jnp.ones(2, jnp.float16)).dtype)
      float32
    """
    return jnp.asarray(array, norm_dtype(array))


def is_usable(norm: jax.Array) -> jax.Array:
    """Whether a norm can be held or divided by: positive and finite.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(is_usable(jnp.array([3.0, 0.0, jnp.inf, jnp.nan])))
      [ True False False False]
    """
    return (norm > 0) & jnp.isfinite(norm)


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """One norm over another; 1 unless both are usable.

    Examples:
      >>> import jax.numpy as jnp
      >>> norm = jnp.array([3.0, 0.0, jnp.inf, jnp.nan])
      >>> print(ratio(norm, jnp.full(4, 2.0)), ratio(jnp.full(4, 2.0), norm)[1])
      [1.5 1.  1.  1. ] 1.0
    """
    usable = is_usable(numerator) & is_usable(denominator)
    return jnp.where(usable, numerator / jnp.where(usable, denominator, 1), 1)


def scaled(update: Any, factor: Any) -> Any:
    """An update times a number, in the update's dtype; others than numbers stay.

    The product is computed in :func:`norm_dtype`, because the factor itself may be out
    of the range of float16.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(scaled(jnp.full(2, 2.0**-10, jnp.float16), 2.0**17))
      [128. 128.]
    """
    if not _leaves.is_floating(update):
        return update
    dtype = norm_dtype(update)
    product = jnp.asarray(update, dtype) * jnp.asarray(factor, dtype)
    return product.astype(jnp.result_type(update))


def is_readable(array: jax.Array) -> bool:
    """Whether this process can look at the values now.

    It cannot under a transformation such as ``jit``, or if some values are on another
    host.

    Examples:
      >>> import jax, jax.numpy as jnp
      >>> is_readable(jnp.ones(2)), jax.jit(lambda x: x * is_readable(x))(1.0).item()
      (True, 0.0)
    """
    return not isinstance(array, jax.core.Tracer) and array.is_fully_addressable
