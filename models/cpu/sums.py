"""Sums over channels and over positions, for a normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp

__all__ = ["mean", "to_channels", "to_positions"]

# XLA's CPU backend sums more than this many channels in two passes over the array.
SUMMED_AT_ONCE = 32
# Number of parts into which positions are divided; the parts are added first.
ADDED_AT_ONCE = 8


def mean(x: jax.Array) -> jax.Array:
    """The mean over channels: adds parts, then halves, because a sum is not vectorised.

    In the derivative, sums are fused with products, and halves were slower.
    """
    channels = x.shape[-1]
    total = _add(jnp.split(x, _parts(channels), axis=-1))
    while total.shape[-1] % 2 == 0:
        total = _add(jnp.split(total, 2, axis=-1))
    return jnp.sum(total, axis=-1, keepdims=True) / channels


def to_channels(x: jax.Array, channels: int) -> jax.Array:
    """Copies a part; the derivative adds the parts before it sums them."""
    parts = _parts(channels)
    part = jnp.broadcast_to(x, (*x.shape[:-1], channels // parts))
    return jnp.concatenate([part] * parts, axis=-1)


def to_positions(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Copies by a product with ones; the derivative is a sum of parts and a product.

    A plain sum over positions takes ten times as long as the product. The product alone
    would first write its operand to memory; the sum of parts does not.
    """
    positions = math.prod(shape[:-1])
    is_known = isinstance(positions, int)  # a symbolic batch is not
    parts = math.gcd(positions, ADDED_AT_ONCE) if is_known else 1
    column = jnp.ones((positions // parts, 1), x.dtype)
    part = column @ x.reshape(1, -1)
    return jnp.concatenate([part] * parts).reshape(shape)


def _parts(channels: int) -> int:
    """Number of parts that a CPU adds before it sums the channels of one part."""
    return channels // SUMMED_AT_ONCE if channels % SUMMED_AT_ONCE == 0 else 1


def _add(arrays: Sequence[jax.Array]) -> jax.Array:
    return reduce(jnp.add, arrays)
