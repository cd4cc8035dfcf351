r"""Gradient descent of a quadratic committee machine, by as many units as it needs.

The network :math:`f(x) = \frac{\alpha}{N} \sum_i (h_i + \frac\varepsilon2 h_i^2)`,
:math:`h_i = w_i \cdot x`, depends on its N units through two moments only, and so does
each update of gradient descent at rate :math:`\eta_0 N / \alpha^2` on the mean squared
error. All units follow one affine map, whatever their number:

.. math::

    w_i \leftarrow w_i + k \sum_\mu r_\mu x_\mu (1 + \varepsilon w_i \cdot x_\mu),
    \quad k = \frac{2 \eta_0}{\alpha P}

with residuals :math:`r = y - f`. So D + 1 weighted units stand for any number of
units: a column :math:`u_j` of weights and a number :math:`e_j` for each,
such that :math:`\sum_j e_j^2 = 1`, that :math:`\sum_j e_j u_j` is the mean of the units
and :math:`\sum_j u_j u_j^\top` that of their squares. They follow
:math:`u_j \leftarrow u_j + k \sum_\mu r_\mu x_\mu (e_j + \varepsilon u_j \cdot x_\mu)`.

The code stores their change. It is small if training is lazy, and float32 keeps its
digits at any α. Derived from the definitions; Kumar et al. (2024) have the moments
in their section 4. P examples, D dimensions, n = min(N, D + 1) units.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

Scalar: TypeAlias = float | jax.Array
"""A number, which may be traced: shape ()."""


class Moments(NamedTuple):
    """What a network's outputs depend on: averages over its units."""

    mean: jax.Array  # (D,) of w
    second: jax.Array  # (D, D) of w w^T


class Start(NamedTuple):
    """The few units of an initial network, and their products with its examples."""

    weights: jax.Array  # (n, D), u
    shares: jax.Array  # (n,), e
    slopes: jax.Array  # (n, P), e + ε u · x: what a pre-activation adds to the output
    outputs: jax.Array  # (P,), over α


def moments_of(weights: jax.Array, readouts: jax.Array | None = None) -> Moments:
    """The moments of units' weights, shape (D, N), each times its readout, if any."""
    width = weights.shape[1]
    weighted = weights if readouts is None else weights * readouts[None]
    return Moments(jnp.mean(weighted, axis=1), weighted @ weights.T / width)


def start(weights: jax.Array, inputs: jax.Array, epsilon: Scalar) -> Start:
    """The few units that have the moments of weights of shape (D, N)."""
    dimension, width = weights.shape
    columns = jnp.vstack([weights, jnp.ones((1, width), weights.dtype)]).T / width**0.5
    if width > dimension + 1:
        # A common rotation of columns keeps their products with each other.
        columns = jnp.linalg.qr(columns, mode="r")
    units, shares = columns[:, :-1], columns[:, -1]
    hidden = units @ inputs.T
    outputs = jnp.sum(hidden * (shares[:, None] + epsilon / 2 * hidden), axis=0)
    return Start(units, shares, shares[:, None] + epsilon * hidden, outputs)


def unchanged(first: Start) -> jax.Array:
    """The change of step 0, shape (n, D)."""
    return jnp.zeros_like(first.weights)


def change(moved: jax.Array, first: Start) -> Moments:
    """The change of the moments, computed without a difference."""
    product = moved.T @ (2 * first.weights + moved)
    return Moments(first.shares @ moved, (product + product.T) / 2)


def added(one: Moments, other: Moments) -> Moments:
    """The sum of two sets of moments."""
    return Moments(one.mean + other.mean, one.second + other.second)


def outputs(
    hidden: jax.Array,
    first: Start,
    alpha: Scalar,
    epsilon: Scalar,
    *,
    center: bool,
) -> jax.Array:
    """The network's outputs on the training inputs, shape (P,).

    Args:
      hidden: how the pre-activations changed, ``moved @ inputs.T``, shape (n, P).
      first: the start.
      alpha: α.
      epsilon: ε.
      center: whether they are less those at first.
    """
    risen = jnp.sum(hidden * (first.slopes + epsilon / 2 * hidden), axis=0)
    return alpha * (risen if center else first.outputs + risen)


def descend(
    moved: jax.Array,
    hidden: jax.Array,
    inputs: jax.Array,
    residuals: jax.Array,
    first: Start,
    *,
    alpha: Scalar,
    epsilon: Scalar,
    base_rate: Scalar,
) -> jax.Array:
    """The change after one update of gradient descent.

    Args:
      moved: the change before.
      hidden: how the pre-activations changed, ``moved @ inputs.T``, shape (n, P).
      inputs: shape (P, D).
      residuals: targets less outputs, shape (P,).
      first: the start.
      alpha: α.
      epsilon: ε.
      base_rate: η₀.
    """
    weighted = (2 * base_rate / (alpha * len(inputs))) * residuals
    return moved + (weighted[None] * (first.slopes + epsilon * hidden)) @ inputs
