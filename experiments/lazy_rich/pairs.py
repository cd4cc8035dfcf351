"""Pairs of numbers to add modulo p, in two parts."""

from typing import NamedTuple

import jax


class Pairs(NamedTuple):
    """Ordered pairs of numbers."""

    x: jax.Array  # (n,) int32
    y: jax.Array  # (n,) int32


class Split(NamedTuple):
    """All pairs, in two parts."""

    train: Pairs
    test: Pairs


def draw_split(key: jax.Array, modulus: int, num_train: int) -> Split:
    """Draws the training pairs; the rest is the test set.

    Args:
      key: of the draw.
      modulus: p; the pairs are all 0 <= x, y < p.
      num_train: how many to train on.
    """
    order = jax.random.permutation(key, modulus**2)
    pairs = Pairs(order // modulus, order % modulus)
    train, test = (
        Pairs(*(number[part] for number in pairs))
        for part in (slice(num_train), slice(num_train, None))
    )
    return Split(train, test)
