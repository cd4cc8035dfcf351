r"""Averages over all inputs, in closed form: test loss, kernel and alignment.

Inputs are normal with variance 1 / D and the target is :math:`x^\top T x / 2`, as in
`task`. Derived from the moments of normals and checked against samples by the tests,
which also check what the paper (Kumar et al., 2024) misprints: see docs/lazy_rich.md.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.polynomial.moments import Moments, Scalar


class LossTerms(NamedTuple):
    """The three terms of the test loss, each shape ()."""

    variance: jax.Array  # error in |x|^2
    misalignment: jax.Array  # of its weights with the directions
    linear: jax.Array  # power of its linear part

    @property
    def total(self) -> jax.Array:
        """The test loss: the mean squared error over all inputs."""
        return self.variance + self.misalignment + self.linear


def loss_terms(
    moments: Moments, target: jax.Array, alpha: Scalar, epsilon: Scalar
) -> LossTerms:
    r"""The mean squared error over all inputs.

    .. math::

        \tfrac14 \Bigl(\frac{\operatorname{Tr} T}{D}
        - \frac{\alpha \varepsilon}{D} \operatorname{Tr} M\Bigr)^2
        + \frac{1}{2 D^2} \lVert \alpha \varepsilon M - T \rVert_F^2
        + \frac{\alpha^2}{D} \lvert \bar w \rvert^2

    Args:
      moments: w̄ and M of the network; for the centred network their change.
      target: T, shape (D, D).
      alpha: α.
      epsilon: ε.
    """
    dimension = len(target)
    excess = alpha * epsilon * moments.second - target
    return LossTerms(
        variance=jnp.square(jnp.trace(excess) / dimension) / 4,
        misalignment=jnp.sum(jnp.square(excess)) / (2 * dimension**2),
        linear=alpha**2 / dimension * jnp.vdot(moments.mean, moments.mean),
    )


def tangent_kernel(
    inputs: jax.Array, others: jax.Array, moments: Moments, epsilon: Scalar
) -> jax.Array:
    r"""The tangent kernel of the network times :math:`N / \alpha^2`.

    .. math::

        (x \cdot x') \bigl[1 + \varepsilon \bar w \cdot (x + x')
        + \varepsilon^2 x^\top M x'\bigr]

    Args:
      inputs: shape (n, D).
      others: shape (m, D).
      moments: of the network, also if it is centred.
      epsilon: ε.

    Returns:
      Shape (n, m).
    """
    linear = (inputs @ moments.mean)[:, None] + (others @ moments.mean)[None]
    quadratic = inputs @ moments.second @ others.T
    return (inputs @ others.T) * (1 + epsilon * linear + epsilon**2 * quadratic)


class Eigenvalue(NamedTuple):
    """An eigenvalue of an operator, and its multiplicity."""

    multiplicity: int
    value: float


def initial_eigenvalues(
    dimension: int, epsilon: float, *, readouts: bool = False
) -> dict[str, Eigenvalue]:
    r"""Eigenvalues of the kernel of infinitely many units at first.

    Of :math:`x \cdot x' + \varepsilon^2 (x \cdot x')^2` for readouts fixed to 1, of
    :math:`2 x \cdot x' + \frac32 \varepsilon^2 (x \cdot x')^2
    + \frac14 \varepsilon^2 \lvert x \rvert^2 \lvert x' \rvert^2` for normal ones; both
    without :math:`\alpha^2 / N`. A kernel learns a function from about one over its
    eigenvalue examples: the target's quadratic part from
    :math:`D^2 / (2 \varepsilon^2)`.

    Returns:
      By the name of the functions: ``linear``, x_i; ``quadratic``, x_i x_j and
      x_i^2 - |x|^2 / D; ``radial``, |x|^2.
    """
    d, square = dimension, epsilon**2
    if readouts:
        values = (2 / d, 3 * square / d**2, square * (1 + 2 / d) * (1.5 / d + 0.25))
    else:
        values = (1 / d, 2 * square / d**2, square / d * (1 + 2 / d))
    counts = (d, d * (d + 1) // 2 - 1, 1)
    names = ("linear", "quadratic", "radial")
    return {
        name: Eigenvalue(count, value)
        for name, count, value in zip(names, counts, values, strict=True)
    }


def alignment(
    moments: Moments, target: jax.Array, epsilon: Scalar, *, centered: bool = False
) -> jax.Array:
    r"""The alignment of the tangent kernel with the target over all inputs, shape ().

    .. math::

        \frac{\langle y \, K \, y' \rangle}
        {\sqrt{\langle K^2 \rangle} \; \langle y^2 \rangle}, \qquad
        \langle y K y' \rangle = \frac{\varepsilon^2}{4 D^4} \bigl[
        (\operatorname{Tr} T)^2 \operatorname{Tr} M
        + 4 \operatorname{Tr} T \operatorname{Tr} T M
        + 4 \operatorname{Tr} T M T \bigr];

    centred, of y less its mean and of K less its means, of the first bracket's terms
    the last is left. It is what `nap_optax.metrics.kernel_target_alignment` estimates.

    Args:
      moments: of the network, also if it is centred.
      target: T, shape (D, D).
      epsilon: ε.
      centered: whether to centre target and kernel.
    """
    d = float(len(target))  # the fourth power may not fit int32
    trace, moved = jnp.trace(target), target @ moments.second
    numerator = 4 * jnp.sum(moved * target)
    if not centered:
        numerator += trace**2 * jnp.trace(moments.second)
        numerator += 4 * trace * jnp.trace(moved)
    power = 2 * jnp.sum(jnp.square(target)) + (0 if centered else trace**2)
    norm = jnp.sqrt(kernel_power(moments, epsilon, centered=centered))
    return epsilon**2 * numerator / (4 * d**4) / (norm * power / (4 * d**2))


def kernel_power(
    moments: Moments, epsilon: Scalar, *, centered: bool = False
) -> jax.Array:
    r"""The mean square of the tangent kernel over pairs of inputs, shape ().

    .. math::

        \frac1D + \frac{2 \varepsilon^2 \lvert \bar w \rvert^2}{D^2}
        \Bigl(1 + \frac2D\Bigr) + \frac{\varepsilon^4}{D^4}
        \bigl[(D + 6) \operatorname{Tr} M^2 + 2 (\operatorname{Tr} M)^2\bigr];

    centred, with 1 / D, D + 2 and 1 in place of 2 / D, D + 6 and 2.
    """
    d = float(len(moments.mean))
    share, squares, traces = (1, d + 2, 1) if centered else (2, d + 6, 2)
    mean = jnp.vdot(moments.mean, moments.mean)
    second = squares * jnp.sum(jnp.square(moments.second))
    second += traces * jnp.trace(moments.second) ** 2
    linear = 2 * epsilon**2 * mean / d**2 * (1 + share / d)
    return 1 / d + linear + epsilon**4 * second / d**4
