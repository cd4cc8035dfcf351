"""Arrays whose type says how they are sharded, as on a mesh of explicit axes.

For these types, the operands of a decomposition or a contraction must be whole, or the
result needs a sharding. For other arrays the compiler does both, and these functions do
nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

__all__ = ["alike", "on_all_devices", "replicated"]


def on_all_devices(*arrays: jax.Array) -> NamedSharding | None:
    """The sharding of a result that is whole on all devices of the arrays' mesh.

    It is ``None`` if no array has a sharded type.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(on_all_devices(jnp.ones(2)))
      None
    """
    for array in arrays:
        sharding = _sharding(array)
        if sharding is not None and any(axis is not None for axis in sharding.spec):
            return NamedSharding(sharding.mesh, PartitionSpec())
    return None


def replicated(array: jax.Array) -> jax.Array:
    """The array, made whole on all devices if its type is sharded.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(replicated(jnp.ones(2)))
      [1. 1.]
    """
    sharding = on_all_devices(array)
    return array if sharding is None else _resharded(array, sharding)


def alike(array: jax.Array, other: jax.Array) -> jax.Array:
    """The array, sharded as another array of its shape, if both are on one mesh.

    Examples:
      >>> import jax.numpy as jnp
      >>> print(alike(jnp.ones(2), jnp.zeros(2)))
      [1. 1.]
    """
    own, theirs = _sharding(array), _sharding(other)
    if own is None or theirs is None or own.mesh != theirs.mesh or own == theirs:
        return array
    return _resharded(array, theirs)


def _sharding(array: jax.Array) -> NamedSharding | None:
    """The sharding of the array's type; ``None`` if the type has no mesh."""
    if not hasattr(jax, "typeof"):  # jax before 0.6
        return None
    sharding = getattr(jax.typeof(array), "sharding", None)
    if not isinstance(sharding, NamedSharding) or sharding.mesh.empty:
        return None
    # The type's mesh has no devices, but outside `jit` they are needed.
    if isinstance(array, jax.Array) and not isinstance(array, jax.core.Tracer):
        placed = array.sharding
        if isinstance(placed, NamedSharding):
            return NamedSharding(placed.mesh, sharding.spec)
    return sharding


def _resharded(array: jax.Array, sharding: NamedSharding) -> jax.Array:
    reshard: Any = getattr(jax.sharding, "reshard", None)
    if reshard is None:  # jax 0.6 has it elsewhere
        reshard = importlib.import_module("jax.experimental.shard").reshard
    return reshard(array, sharding)
