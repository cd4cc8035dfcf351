r"""Gradient descent of a quadratic committee machine, without its units.

The network :math:`f(x) = \frac{\alpha}{N} \sum_i (h_i + \frac\varepsilon2 h_i^2)`,
:math:`h_i = w_i \cdot x`, depends on its N units through two moments only, and so does
each update of gradient descent at rate :math:`\eta_0 N / \alpha^2` on the mean squared
error. All units follow one affine map, whatever their number:

.. math::

    w_i \leftarrow (I + E) w_i + s, \qquad
    s = k \sum_\mu r_\mu x_\mu, \quad E = \varepsilon k \sum_\mu r_\mu x_\mu x_\mu^\top,
    \quad k = \frac{2 \eta_0}{\alpha P}

with residuals :math:`r = y - f`. The map so far, less the identity, is what is stored:
it is small where training is lazy, and float32 keeps its digits at any α. It costs the
same at any width. Derived from the definitions; Kumar et al. (2024) have the moments in
their section 4. P examples, D dimensions.
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


class Flow(NamedTuple):
    """The affine map from the initial weights of a unit to those now, less these."""

    linear: jax.Array  # (D, D)
    shift: jax.Array  # (D,)


def moments_of(weights: jax.Array, readouts: jax.Array | None = None) -> Moments:
    """The moments of units' weights, shape (D, N), each times its readout, if any."""
    width = weights.shape[1]
    weighted = weights if readouts is None else weights * readouts[None]
    return Moments(jnp.mean(weighted, axis=1), weighted @ weights.T / width)


def no_flow(dimension: int) -> Flow:
    """That of step 0."""
    return Flow(jnp.zeros((dimension, dimension)), jnp.zeros(dimension))


def change(flow: Flow, initial: Moments) -> Moments:
    """The moments now less those at first, computed without a difference."""
    carried = flow.linear @ initial.mean
    product = flow.linear @ initial.second
    mixed = jnp.outer(initial.mean + carried, flow.shift)
    second = product + product.T + product @ flow.linear.T
    second += mixed + mixed.T + jnp.outer(flow.shift, flow.shift)
    return Moments(carried + flow.shift, second)


def moved(flow: Flow, initial: Moments) -> jax.Array:
    """The mean over units of the squared distance from where they began."""
    carried = flow.linear @ initial.mean
    square = jnp.sum((flow.linear @ initial.second) * flow.linear)
    return square + 2 * jnp.vdot(carried, flow.shift) + jnp.vdot(flow.shift, flow.shift)


def added(one: Moments, other: Moments) -> Moments:
    """The sum of two sets of moments."""
    return Moments(one.mean + other.mean, one.second + other.second)


def outputs(
    inputs: jax.Array, moments: Moments, alpha: Scalar, epsilon: Scalar
) -> jax.Array:
    """The network's outputs, shape (n,); of a change of moments, how they changed."""
    quadratic = jnp.sum((inputs @ moments.second) * inputs, axis=1)
    return alpha * (inputs @ moments.mean + epsilon / 2 * quadratic)


def descend(
    flow: Flow,
    inputs: jax.Array,
    residuals: jax.Array,
    *,
    alpha: Scalar,
    epsilon: Scalar,
    base_rate: Scalar,
) -> Flow:
    """One update of gradient descent.

    Args:
      flow: before.
      inputs: shape (P, D).
      residuals: targets less outputs, shape (P,).
      alpha: α.
      epsilon: ε.
      base_rate: η₀.
    """
    weighted = (2 * base_rate / (alpha * len(inputs))) * residuals
    shift = weighted @ inputs
    linear = epsilon * (inputs.T @ (weighted[:, None] * inputs))
    return Flow(
        flow.linear + linear + linear @ flow.linear,
        flow.shift + shift + linear @ flow.shift,
    )
