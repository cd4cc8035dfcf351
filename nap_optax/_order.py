"""Forces the compiler to keep an order of computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import _leaves

__all__ = ["after", "together"]


def after(values: Any, others: Sequence[jax.Array]) -> Any:
    """The same values, bit for bit, that cannot be computed before the others.

    ``jax.lax.optimization_barrier`` is meant for this, but XLA drops it on the CPU
    before it fuses and schedules. It has to keep a choice that depends on unknown
    values.

    Args:
      values: a tree of arrays.
      others: scalars to compute first.

    Returns:
      The values.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(after(jnp.array([1.0, jnp.nan]), [jnp.float32(jnp.inf)]))
      [ 1. nan]
    """
    if not others:
        return values
    bits = jnp.int32(1)
    for other in others:
        number = jnp.real(other).astype(jnp.float32)
        bits |= jax.lax.bitcast_convert_type(number, jnp.int32)
    always = bits != 0
    return jax.tree.map(lambda x: jnp.where(always, x, jnp.zeros_like(x)), values)


def together(norms: Sequence[jax.Array]) -> list[jax.Array]:
    """The same norms, of which none is used before all are known.

    In a program for several devices, the norms of sharded leaves then make one message.
    On one device nothing is done, because it would only move all measured leaves
    through memory.

    Args:
      norms: the norms of several leaves, of any shape.

    Returns:
      The norms.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(together([jnp.float32(1.0), jnp.ones(2)]))
      [Array(1., dtype=float32), Array([1., 1.], dtype=float32)]
    """
    is_compiled = any(isinstance(norm, jax.core.Tracer) for norm in norms)
    if jax.device_count() == 1 or not is_compiled or _leaves.is_part():
        return list(norms)
    return after(list(norms), [jnp.sum(norm) for norm in norms])
