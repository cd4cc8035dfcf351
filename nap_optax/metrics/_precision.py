"""The precision in which metrics are computed."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def at_least_float32(array: jax.Array) -> jax.Array:
    """The array in float64 if it is that already, else in float32."""
    array = jnp.asarray(array)
    # jnp.promote_types would refuse bfloat16 under strict dtype promotion.
    return array if array.dtype == jnp.float64 else array.astype(jnp.float32)
