"""The task: a sum of squares of projections of normal inputs.

Symbols, here and beside: P examples, D dimensions, K directions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Task(NamedTuple):
    """Training examples, and the directions of the target."""

    inputs: jax.Array  # (P, D), normal with variance 1 / D
    targets: jax.Array  # (P,)
    directions: jax.Array  # (K, D), each of squared norm D times the label scale


def draw_task(
    key: jax.Array,
    dimension: int,
    num_train: int,
    num_directions: int = 1,
    label_scale: float | jax.Array = 1.0,
) -> Task:
    r"""Draws directions and training examples.

    .. math::

        y(x) = \frac12 \sum_k (\beta_k \cdot x)^2, \qquad
        x \sim \mathcal N(0, I / D), \quad \lvert \beta_k \rvert^2 = D.

    So each :math:`\beta_k \cdot x` is a standard normal, and for one direction the mean
    of y is 1/2 and that of its square 3/4. The paper does not fix the norm of β; its
    equation 17 takes it for 1. Labels of another scale are those of longer directions.

    Args:
      key: of the draw.
      dimension: D.
      num_train: P.
      num_directions: K; there is one in the paper's main text.
      label_scale: a factor of all targets.
    """
    inputs_key, directions_key = jax.random.split(key)
    inputs = jax.random.normal(inputs_key, (num_train, dimension)) / dimension**0.5
    directions = jax.random.normal(directions_key, (num_directions, dimension))
    norms = jnp.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions * (jnp.sqrt(dimension * label_scale) / norms)
    return Task(inputs, targets_of(inputs, directions), directions)


def targets_of(inputs: jax.Array, directions: jax.Array) -> jax.Array:
    """The target of each input, shape (n,)."""
    return jnp.sum(jnp.square(inputs @ directions.T), axis=1) / 2


def target_matrix(directions: jax.Array) -> jax.Array:
    """The symmetric T with y = x T x / 2, shape (D, D)."""
    return directions.T @ directions
