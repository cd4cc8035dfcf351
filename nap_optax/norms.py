"""Norms of leaves, in float32 at least, whatever dtype the leaves have."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["is_readable", "norm", "norm_dtype"]


def norm(weights: jax.Array, axes: tuple[int, ...] | None = None) -> jax.Array:
    """The Frobenius norm over some axes.

    Args:
      weights: real or complex, of :func:`norm_dtype`.
      axes: over which; ``None`` for all.

    Returns:
      Shape ``()`` if ``axes`` is ``None``, else the shape of ``weights`` with 1 on
      ``axes``.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(norm(jnp.array([[3.0, 0.0], [4.0, 1.0]]), (0,)))
      [[5. 1.]]
    """
    squares = jnp.real(weights * jnp.conj(weights))
    return jnp.sqrt(jnp.sum(squares, axis=axes, keepdims=axes is not None))


def norm_dtype(leaf: Any) -> Any:
    """The dtype in which to take a leaf's norm: its own, but float32 at least.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(norm_dtype(jnp.ones(2, jnp.bfloat16)))
      float32
    """
    with jax.numpy_dtype_promotion("standard"):  # the caller's may be "strict"
        return jnp.promote_types(jnp.result_type(leaf), jnp.float32)


def is_readable(array: jax.Array) -> bool:
    """Whether this process can look at the values now.

    Not under a transformation such as ``jit``, nor where some lie on another host.

    Examples:
      >>> import jax, jax.numpy as jnp
      >>> is_readable(jnp.ones(2)), jax.jit(lambda x: x * is_readable(x))(1.0).item()
      (True, 0.0)
    """
    return not isinstance(array, jax.core.Tracer) and array.is_fully_addressable
