"""Regression with a kernel: the result, the path and the distance of lazy training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nap_optax import _checks, _norms
from nap_optax.metrics.kernels._arrays import as_kernel, as_targets

__all__ = ["kernel_descent", "kernel_regression", "task_difficulty"]


def kernel_regression(
    kernel: jax.Array, targets: jax.Array, *, ridge: float | jax.Array = 0.0
) -> jax.Array:
    r"""Coefficients of the regression with a kernel.

    .. math::

        a = (K + \lambda I)^{-1} y, \qquad f(x) = \sum_\mu a_\mu K(x, x_\mu),

    the function that a network learns in the lazy limit. With its tangent kernel at the
    initial parameters :math:`\theta_0`, gradient descent on the squared error takes
    :math:`f(\theta) - f(\theta_0)` there. For the functions on the way, see
    :func:`kernel_descent`. Computed in float32 at least, by a Cholesky factorisation.

    Args:
      kernel: the kernel of the training examples, symmetric and positive definite,
        shape ``(n, n)``.
      targets: the targets minus the initial outputs, shape ``(n,)`` or ``(n, k)``.
      ridge: λ, not negative. May be traced.

    Returns:
      The coefficients, in the shape of ``targets``. Predictions at m other examples are
      ``cross @ coefficients`` with their kernel ``cross``, shape ``(m, n)``.

    Raises:
      ValueError: if the kernel with its ridge is singular to the precision of its
        dtype, or an argument is not finite or of another kind or shape. Under
        ``jax.jit`` a singular kernel gives NaN.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import kernel_regression
      >>> kernel = jnp.array([[2.0, 1.0], [1.0, 2.0]])
      >>> print(kernel_regression(kernel, jnp.array([3.0, 0.0])).round(3))
      [ 2. -1.]

    References:
      Jacot et al., `Neural Tangent Kernel: Convergence and Generalization in Neural
      Networks <https://arxiv.org/abs/1806.07572>`_, 2018
    """
    coefficients, _ = _solved("kernel_regression", kernel, targets, ridge)
    return coefficients.reshape(jnp.shape(targets))


def task_difficulty(
    kernel: jax.Array, targets: jax.Array, *, ridge: float | jax.Array = 0.0
) -> jax.Array:
    r"""Squared distance that a lazy network's parameters must move to fit the targets.

    .. math::

        y^\top (K + \lambda I)^{-1} y,

    summed over several targets. Without ridge, it is
    :math:`\lVert \theta - \theta_0 \rVert^2` of the linearised network that fits the
    targets :math:`y` with the smallest change of its parameters. Computed as
    :func:`kernel_regression`.

    Args:
      kernel: the kernel of the training examples, symmetric and positive definite,
        shape ``(n, n)``.
      targets: the targets minus the initial outputs, shape ``(n,)`` or ``(n, k)``.
      ridge: λ, not negative. May be traced.

    Returns:
      The difficulty, shape ``()``.

    Raises:
      ValueError: as :func:`kernel_regression`.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import task_difficulty
      >>> kernel = jnp.array([[2.0, 1.0], [1.0, 2.0]])
      >>> print(f"{task_difficulty(kernel, jnp.array([3.0, 0.0])):.4f}")
      6.0000

    References:
      Kumar et al., `Grokking as the Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024, section 3
    """
    coefficients, targets = _solved("task_difficulty", kernel, targets, ridge)
    return jnp.sum(targets * coefficients)


def kernel_descent(
    kernel: jax.Array,
    targets: jax.Array,
    *,
    step_size: float | jax.Array,
    num_steps: int | jax.Array,
) -> jax.Array:
    r"""Coefficients after some steps of gradient descent, without taking them.

    .. math::

        a_0 = 0, \quad a_{t+1} = a_t + s\,(y - K a_t)
        \quad\Longrightarrow\quad a_t = K^{-1} \bigl(I - (I - s K)^t\bigr)\, y,

    the path of a network in the lazy limit from its initial function to
    :func:`kernel_regression`, with :math:`f_t(x) = \sum_\mu a_{t,\mu} K(x, x_\mu)`. For
    gradient descent at rate :math:`\eta` on the mean of :math:`(y - f)^2` over n
    examples, :math:`s = 2 \eta / n`; on half their sum, :math:`s = \eta`. It is
    computed from the eigenvalues of the kernel, in float32 at least. So one
    factorisation serves all times, and the kernel may be singular.

    Args:
      kernel: the kernel of the training examples, symmetric and positive semi-definite,
        shape ``(n, n)``. Negative eigenvalues count as zero.
      targets: the targets minus the initial outputs, shape ``(n,)`` or ``(n, k)``.
      step_size: s, positive. May be traced.
      num_steps: t, whole numbers of 0 or more, shape ``()`` or ``(t,)``. May be traced.

    Returns:
      The coefficients, in the shape of ``targets``; several times add a first axis.

    Raises:
      ValueError: if the descent diverges because ``step_size`` is not below 2 over the
        largest eigenvalue (under ``jax.jit`` results then grow without bound), or if an
        argument is of another kind or shape.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import kernel_descent
      >>> kernel = jnp.array([[2.0, 1.0], [1.0, 2.0]])
      >>> targets = jnp.array([3.0, 0.0])
      >>> coefficients = kernel_descent(
      ...     kernel, targets, step_size=0.5, num_steps=jnp.array([2, 100])
      ... )
      >>> for row in coefficients:
      ...     print(f"{row[0]:.2f} {row[1]:.2f}")
      1.50 -0.75
      2.00 -1.00

    References:
      Jacot et al., `Neural Tangent Kernel: Convergence and Generalization in Neural
      Networks <https://arxiv.org/abs/1806.07572>`_, 2018
    """
    kernel = as_kernel("kernel", kernel)
    matrix = as_targets("targets", targets, len(kernel))
    _checks.positive("step_size", step_size)
    times = _times(num_steps)
    eigenvalues, vectors = jnp.linalg.eigh(kernel)
    _check_stable(eigenvalues, step_size)
    with jax.numpy_dtype_promotion("standard"):
        step = jnp.asarray(step_size, kernel.dtype)
        sizes = step * jnp.maximum(eigenvalues, 0)  # (n,)
        filters = step * _geometric_sum(sizes[None], times.reshape(-1, 1))
        along = jnp.matmul(vectors.T, matrix, precision="highest")
        filtered = filters[:, :, None] * along[None]  # (times, n, k)
        coefficients = jnp.matmul(vectors[None], filtered, precision="highest")
    return coefficients.reshape(*jnp.shape(num_steps), *jnp.shape(targets))


def _geometric_sum(sizes: jax.Array, times: jax.Array) -> jax.Array:
    """The sum 1 + q + ... + q^(t - 1) for q = 1 - size, shape (times, sizes)."""
    times = times.astype(sizes.dtype)
    is_zero = sizes == 0
    safe = jnp.where(is_zero, 1, sizes)
    ratio = 1 - safe
    # 1 - size is rounded for tiny sizes; a ratio of 0 or less has no logarithm.
    is_positive = ratio > 0
    log = jnp.log1p(-jnp.where(is_positive, safe, 0))
    falling = -jnp.expm1(times * log)
    parity = jnp.where(times % 2 == 0, 1, -1)
    alternating = 1 - parity * jnp.abs(jnp.where(is_positive, 0, ratio)) ** times
    return jnp.where(
        is_zero, times, jnp.where(is_positive, falling, alternating) / safe
    )


def _times(num_steps: Any) -> jax.Array:
    number = _checks.concrete("num_steps", num_steps)
    fits = number is None or (
        np.all(number >= 0) and np.all(number % 1 == 0) and np.all(number < 2**31)
    )
    if np.ndim(num_steps) > 1 or not fits:
        raise ValueError(
            f"num_steps={_checks.shown(num_steps)}: must be one or a vector of whole "
            "numbers of 0 or more, less than 2**31"
        )
    return jnp.asarray(num_steps)


def _check_stable(eigenvalues: jax.Array, step_size: Any) -> None:
    if not _norms.is_readable(eigenvalues) or isinstance(step_size, jax.core.Tracer):
        return
    largest = float(eigenvalues[-1])
    if float(step_size) * largest >= 2:
        raise ValueError(
            f"step_size={_checks.shown(step_size)}: gradient descent diverges, it must "
            f"be below {2 / largest:.4g}, 2 over the kernel's largest eigenvalue"
        )


def _solved(
    name: str, kernel: Any, targets: Any, ridge: Any
) -> tuple[jax.Array, jax.Array]:
    """The coefficients and the targets, both of shape (n, k)."""
    kernel = as_kernel("kernel", kernel)
    matrix = as_targets("targets", targets, len(kernel))
    _checks.finite("ridge", ridge, 0)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(kernel.dtype, matrix.dtype)
        kernel, matrix = kernel.astype(dtype), matrix.astype(dtype)
        identity = jnp.eye(len(kernel), dtype=dtype)
        factor = jnp.linalg.cholesky(kernel + jnp.asarray(ridge, dtype) * identity)
    # The smallest eigenvalue is no larger than the square of any diagonal entry.
    pivots = jnp.square(jnp.diagonal(factor))
    bound = len(kernel) * jnp.finfo(dtype).eps * jnp.max(pivots)
    is_singular = ~(jnp.min(pivots) > bound)  # true for NaN, too
    for argument, array in (("kernel", kernel), ("targets", matrix)):
        is_finite = jnp.all(jnp.isfinite(array))
        if _norms.is_readable(is_finite) and not is_finite:
            raise ValueError(f"{name}: {argument}: must be finite")
    if _norms.is_readable(is_singular) and is_singular:
        raise ValueError(
            f"{name}: the kernel is singular in {dtype}, or not positive definite: "
            "leave out examples that occur twice, add a ridge, or compute in float64"
        )
    solution = jax.scipy.linalg.cho_solve((factor, True), matrix)
    return jnp.where(is_singular, jnp.nan, solution), matrix
