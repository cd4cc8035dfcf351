r"""What the network would learn if its kernel never changed, without training it.

The linearised network is also a quadratic function, so its test loss has a closed form
at any step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.polynomial.moments import Moments, Scalar
from experiments.lazy_rich.polynomial.theory import tangent_kernel
from nap_optax import metrics


class Quadratic(NamedTuple):
    """The function a · x + x Q x."""

    linear: jax.Array  # (D,)
    matrix: jax.Array  # (D, D), symmetric

    def test_loss(self, target: jax.Array) -> jax.Array:
        """The mean squared error over all inputs of target x T x / 2, shape ()."""
        d = len(target)
        excess = self.matrix - target / 2
        trace = jnp.square(jnp.trace(excess) / d)
        squares = 2 * jnp.sum(jnp.square(excess)) / d**2
        return jnp.vdot(self.linear, self.linear) / d + trace + squares


class LazyCurve(NamedTuple):
    """Losses of the linearised network at some steps, each shape (steps,)."""

    train_loss: jax.Array
    test_loss: jax.Array


def of_coefficients(
    coefficients: jax.Array, inputs: jax.Array, initial: Moments, epsilon: Scalar
) -> Quadratic:
    r"""The function :math:`\sum_\mu a_\mu K(x, x_\mu)` as a quadratic one.

    Args:
      coefficients: a, shape (P,), of the kernel without :math:`\alpha^2 / N`.
      inputs: shape (P, D).
      initial: the moments of the kernel.
      epsilon: ε.
    """
    first = coefficients @ inputs
    along = coefficients * (inputs @ initial.mean)
    second = inputs.T @ (coefficients[:, None] * inputs)
    matrix = epsilon * jnp.outer(initial.mean, first)
    matrix += epsilon**2 * initial.second @ second
    return Quadratic(first + epsilon * (along @ inputs), (matrix + matrix.T) / 2)


def lazy_curve(
    steps: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    target: jax.Array,
    initial: Moments,
    *,
    epsilon: Scalar,
    base_rate: Scalar,
) -> LazyCurve:
    """Losses of the centred, linearised network along gradient descent.

    The rate η₀ N / α² makes them independent of α and the width.

    Args:
      steps: whole numbers, shape (steps,).
      inputs: shape (P, D).
      targets: shape (P,).
      target: T, shape (D, D).
      initial: the moments of the initial network.
      epsilon: ε.
      base_rate: η₀.

    Raises:
      ValueError: if gradient descent diverges at this rate.
    """
    kernel = tangent_kernel(inputs, inputs, initial, epsilon)
    coefficients = metrics.kernel_descent(
        kernel, targets, step_size=2 * base_rate / len(targets), num_steps=steps
    )
    residuals = targets[None] - coefficients @ kernel
    test_losses = jax.vmap(
        lambda own: of_coefficients(own, inputs, initial, epsilon).test_loss(target)
    )(coefficients)
    return LazyCurve(jnp.mean(jnp.square(residuals), axis=1), test_losses)


def largest_rate(inputs: jax.Array, initial: Moments, epsilon: Scalar) -> jax.Array:
    """The η₀ from which on the linearised network diverges, shape ()."""
    kernel = tangent_kernel(inputs, inputs, initial, epsilon)
    return len(inputs) / jnp.linalg.eigvalsh(kernel)[-1]
