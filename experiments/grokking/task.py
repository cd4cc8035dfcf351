"""The task x + y mod p: which pairs are trained on and which are held out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Pairs(NamedTuple):
    """Pairs of summands; the label of (x, y) is x + y mod p."""

    x: jax.Array  # (n,) int32
    y: jax.Array  # (n,) int32


class Split(NamedTuple):
    """All ordered pairs, in two parts."""

    train: Pairs
    test: Pairs


def split_pairs(key: jax.Array, modulus: int, num_train: int) -> Split:
    """Draws the training pairs at random; the rest is the test set.

    (x, y) and (y, x) are different pairs, so a network that has learned no more than
    symmetry scores about the training fraction on the test set.

    Args:
      key: of the shuffle.
      modulus: p; there are p * p pairs.
      num_train: how many to train on.

    Returns:
      The training pairs in the order of their index x * p + y, and the test pairs
      likewise: gathers from tables then walk through memory forwards.
    """
    order = jax.random.permutation(key, modulus**2)
    train, test = jnp.sort(order[:num_train]), jnp.sort(order[num_train:])
    return Split(_pairs(train, modulus), _pairs(test, modulus))


def _pairs(index: jax.Array, modulus: int) -> Pairs:
    return Pairs(index // modulus, index % modulus)


def labels(pairs: Pairs, modulus: int) -> jax.Array:
    """The sums modulo p, shape (n,)."""
    return (pairs.x + pairs.y) % modulus
