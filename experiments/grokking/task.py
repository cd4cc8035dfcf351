"""The tasks (Power et al., 2022): training pairs, test pairs and their labels.

Power et al., "Grokking: generalization beyond overfitting on small algorithmic
datasets", https://arxiv.org/abs/2201.02177.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.grokking.config import Operation


class Pairs(NamedTuple):
    """Pairs of numbers or of permutations, given by their numbers."""

    x: jax.Array  # (n,) int32
    y: jax.Array  # (n,) int32


class Split(NamedTuple):
    """All ordered pairs, in two parts."""

    train: Pairs
    test: Pairs


def split_pairs(key: jax.Array, num_elements: int, num_train: int) -> Split:
    """Draws the training pairs at random; the rest is the test set.

    (x, y) and (y, x) are different pairs, so a network that has learned no more than
    symmetry scores about the training fraction on the test set.

    Args:
      key: the key of the shuffle.
      num_elements: number of elements; the number of pairs is its square.
      num_train: number of training pairs.

    Returns:
      The training pairs and the test pairs, both in the order of their index
      x * num_elements + y, so that gathers from tables read memory forwards.
    """
    order = jax.random.permutation(key, num_elements**2)
    train, test = jnp.sort(order[:num_train]), jnp.sort(order[num_train:])
    return Split(_pairs(train, num_elements), _pairs(test, num_elements))


def _pairs(index: jax.Array, num_elements: int) -> Pairs:
    return Pairs(index // num_elements, index % num_elements)


def labels(pairs: Pairs, modulus: int, operation: Operation = "addition") -> jax.Array:
    """The results of an operation modulo p (with S5, the products), shape (n,)."""
    x, y = pairs
    match operation:
        case "addition":
            return (x + y) % modulus
        case "subtraction":
            return (x - y) % modulus
        case "multiplication":
            return (x * y) % modulus
        case "quadratic":
            return (x * x + x * y + y * y) % modulus
        case "s5":
            return jnp.asarray(permutation_products())[x, y]


@functools.cache
def permutation_products() -> np.ndarray:
    """The table of S5, shape (120, 120): entry (x, y) is x after y.

    Permutations are numbered in lexicographic order, so 0 is the identity.
    """
    elements = list(itertools.permutations(range(5)))
    numbers = {element: number for number, element in enumerate(elements)}
    table = [[numbers[tuple(x[i] for i in y)] for y in elements] for x in elements]
    return np.asarray(table, np.int32)
