"""Committee machines: one hidden layer with averaged units."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from models.images import check_size
from models.layers import linear

__all__ = ["CommitteeMachine", "Constant", "hermite"]


class Constant(nnx.Variable):
    """A number of a model that is not trained, and may be traced."""


class CommitteeMachine(nnx.Module):
    r"""The mean over hidden units, each linear plus a nonlinearity.

    .. math::

        f(x) = \frac1N \sum_{i=1}^N v_i \, \phi(w_i \cdot x), \qquad
        \phi(h) = h + \frac{\varepsilon}{2} g(h)

    with g the square or a Hermite polynomial. The weights, shape ``(dimension,
    width)``, start as normals of variance ``weight_scale`` squared. So for inputs with
    :math:`\lvert x \rvert^2 \approx 1` the initial preactivations are about normal. The
    readouts :math:`v_i`, shape ``(width,)``, are 1 and not trained, or start as
    standard normals. There are no biases. The smaller ε, the less the initial tangent
    kernel sees of nonlinear targets.

    Args:
      dimension: D, the number of inputs.
      width: N, the number of units.
      epsilon: ε. It is stored as a :class:`Constant`, not a parameter: split a model by
        ``nnx.split(model, nnx.Param, ...)``. May be traced.
      nonlinearity: g, a function of an array, element by element; :func:`hermite` makes
        others.
      readouts: whether the readouts are trained.
      weight_scale: initial standard deviation of the weights. May be traced.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if a size is not an int of at least 1; when called, if the inputs are
        not of shape ``(n, dimension)``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import CommitteeMachine
      >>> model = CommitteeMachine(4, 10, epsilon=0.1, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((3, 4))).shape
      (3,)

    References:
      Kumar et al., `Grokking as the Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024, section 3; Saad and Solla, `On-line
      learning in soft committee machines <https://doi.org/10.1103/PhysRevE.52.4225>`_,
      1995
    """

    def __init__(
        self,
        dimension: int,
        width: int,
        *,
        epsilon: float | jax.Array = 1.0,
        nonlinearity: Callable[[jax.Array], jax.Array] = jnp.square,
        readouts: bool = False,
        weight_scale: float | jax.Array = 1.0,
        rngs: nnx.Rngs,
    ) -> None:
        check_size("dimension", dimension)
        check_size("width", width)
        self.hidden = linear(
            dimension, width, nnx.initializers.normal(weight_scale), rngs
        )
        self.readouts = (
            nnx.Param(jax.random.normal(rngs.params(), (width,))) if readouts else None
        )
        self.epsilon = Constant(jnp.asarray(epsilon, float))
        self.nonlinearity = nonlinearity

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Outputs of the examples.

        Args:
          inputs: shape ``(n, dimension)``, floating.

        Returns:
          Outputs, shape ``(n,)``.
        """
        shape, dimension = jnp.shape(inputs), self.hidden.in_features
        if len(shape) != 2 or shape[1] != dimension:
            raise ValueError(f"inputs must have shape (n, {dimension}), got {shape}.")
        hidden = self.hidden(inputs)
        epsilon = jnp.asarray(self.epsilon[...], hidden.dtype)
        units = hidden + epsilon / 2 * self.nonlinearity(hidden)
        if self.readouts is None:
            return jnp.mean(units, axis=1)
        return units @ self.readouts[...] / self.hidden.out_features


@functools.cache  # comparing models compares their functions by identity
def hermite(degree: int) -> Callable[[jax.Array], jax.Array]:
    r"""The probabilists' Hermite polynomial, with mean square k! on standard normals.

    .. math::

        \mathrm{He}_0 = 1, \quad \mathrm{He}_1 = h, \quad
        \mathrm{He}_{k+1} = h \, \mathrm{He}_k - k \, \mathrm{He}_{k-1}

    Args:
      degree: k, the degree.

    Returns:
      A function of an array, element by element.

    Raises:
      ValueError: if ``degree`` is not an int of at least 1.

    Examples:
      >>> import jax.numpy as jnp
      >>> from models.committee import hermite
      >>> print(hermite(3)(jnp.array([1.0, 2.0, 3.0])))  # h^3 - 3 h
      [-2.  2. 18.]
    """
    check_size("degree", degree)

    def polynomial(h: jax.Array) -> jax.Array:
        before, now = jnp.ones_like(h), h
        for k in range(1, degree):
            before, now = now, h * now - k * before
        return now

    return polynomial
