"""An order of computation that the compiler has to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["after"]


def after(values: Any, others: Sequence[jax.Array]) -> Any:
    """The same values, bit for bit, that cannot be computed before the others.

    ``jax.lax.optimization_barrier`` would say so, but XLA drops it on the CPU before it
    fuses and schedules. A choice by what it cannot know it has to keep.

    Args:
      values: a tree of arrays.
      others: scalars.

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
