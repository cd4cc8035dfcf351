"""Alignment of a kernel with targets or with another kernel."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms
from nap_optax.metrics.kernels._arrays import as_kernel, as_targets

__all__ = ["kernel_alignment", "kernel_target_alignment"]


def kernel_alignment(
    kernel: jax.Array,
    other: jax.Array,
    *,
    centered: bool = False,
    diagonal: bool = True,
) -> jax.Array:
    r"""Cosine between two kernels of the same examples; centred, it is the CKA.

    .. math::

        \frac{\langle K, L \rangle}{\lVert K \rVert \, \lVert L \rVert}, \qquad
        \langle K, L \rangle = \sum_{ij} K_{ij} L_{ij}.

    With ``centered``, it is the cosine of :math:`H K H` and :math:`H L H` with
    :math:`H = I - \tfrac1n 1 1^\top`, which ignores constant functions.

    The diagonal, where each example meets itself, adds a bias that falls with 1 / n
    only. It may be half of the alignment of a weakly aligned kernel. Without
    ``diagonal`` the sums run over :math:`i \ne j`, so all three are unbiased up to
    their common factor; centred, all three are the unbiased estimator of HSIC,

    .. math::

        \langle K, L \rangle = \operatorname{tr}(\tilde K \tilde L)
        + \frac{1^\top \tilde K 1 \; 1^\top \tilde L 1}{(n - 1)(n - 2)}
        - \frac{2}{n - 2} 1^\top \tilde K \tilde L 1,

    where a tilde means a diagonal of zeros. Such an estimate may be negative. If that
    of a squared norm is, the alignment is NaN. It is also NaN if a kernel is zero.
    Computed in float32 at least.

    Args:
      kernel: symmetric, shape ``(n, n)``.
      other: symmetric, shape ``(n, n)``.
      centered: whether to centre both. Static.
      diagonal: whether to count pairs of an example with itself. Static.

    Returns:
      The alignment, shape ``()``: 1 for kernels that are alike up to a positive factor,
      and at least 0 for positive semi-definite ones, diagonal included.

    Raises:
      ValueError: if a kernel is no real square matrix, the shapes differ, or there are
        too few examples (4 for centred kernels without diagonal, else 2).

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import kernel_alignment
      >>> kernel = jnp.array([[2.0, 1.0], [1.0, 2.0]])
      >>> print(f"{kernel_alignment(kernel, jnp.eye(2)):.4f}")  # 4 / sqrt(10 * 2)
      0.8944
      >>> print(f"{kernel_alignment(kernel, jnp.eye(2), centered=True):.4f}")
      1.0000

    References:
      Cristianini et al., `On Kernel-Target Alignment
      <https://papers.nips.cc/paper/1946-on-kernel-target-alignment>`_, 2001; Cortes et
      al., `Algorithms for Learning Kernels Based on Centered Alignment
      <https://arxiv.org/abs/1203.0550>`_, 2012; Song et al., `Feature Selection via
      Dependence Maximization <https://jmlr.org/papers/v13/song12a.html>`_, 2012
      (equation 5, the unbiased estimator)
    """
    kernel, other = as_kernel("kernel", kernel), as_kernel("other", other)
    if kernel.shape != other.shape:
        raise ValueError(
            f"other must have the shape of kernel, {kernel.shape}, got {other.shape}"
        )
    _checks.flag("centered", centered)
    _checks.flag("diagonal", diagonal)
    least = 4 if centered and not diagonal else 2
    if len(kernel) < least:
        raise ValueError(
            f"kernel: there must be at least {least} examples, got {len(kernel)}"
        )
    kernel, other = _unit_scale(kernel), _unit_scale(other)
    if not diagonal:
        kernel, other = _hollow(kernel), _hollow(other)
        inner = _unbiased_hsic if centered else _inner
    else:
        if centered:
            kernel, other = _centred(kernel), _centred(other)
        inner = _inner
    first, second = inner(kernel, kernel), inner(other, other)
    is_usable = (first > 0) & (second > 0)
    norms = jnp.sqrt(jnp.where(is_usable, first * second, 1))
    return jnp.where(is_usable, inner(kernel, other) / norms, jnp.nan)


def kernel_target_alignment(
    kernel: jax.Array,
    targets: jax.Array,
    *,
    centered: bool = False,
    diagonal: bool = True,
) -> jax.Array:
    r"""Alignment of a kernel with targets.

    .. math::

        \frac{y^\top K y}{\lVert K \rVert \, \lVert y \rVert^2},

    the :func:`kernel_alignment` with :math:`y y^\top` (for several targets, with
    :math:`Y Y^\top`). If its tangent kernel is aligned with the task, a network
    generalises even if it is lazy; if not, it has to change its features first.

    Args:
      kernel: symmetric, shape ``(n, n)``.
      targets: shape ``(n,)`` or ``(n, k)``.
      centered: whether to centre kernel and targets. Static.
      diagonal: whether to count pairs of an example with itself. Static.

    Returns:
      The alignment, shape ``()``, as :func:`kernel_alignment`: NaN if the kernel or the
      targets are zero, with ``centered`` also if the targets are constant (without
      ``diagonal`` they give what rounding leaves).

    Raises:
      ValueError: as :func:`kernel_alignment`, or if ``targets`` are of another shape.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import kernel_target_alignment
      >>> kernel = jnp.array([[2.0, 1.0], [1.0, 2.0]])
      >>> targets = jnp.array([1.0, 1.0])
      >>> print(f"{kernel_target_alignment(kernel, targets):.4f}")  # 6 / (sqrt(10) * 2)
      0.9487

    References:
      Kumar et al., `Grokking as the Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024, section 3
    """
    kernel = as_kernel("kernel", kernel)
    targets = _unit_scale(as_targets("targets", targets, len(kernel)))
    outer = jnp.matmul(targets, targets.T, precision="highest")
    outer = outer.astype(_norms.norm_dtype(outer))
    return kernel_alignment(kernel, outer, centered=centered, diagonal=diagonal)


def _unit_scale(array: jax.Array) -> jax.Array:
    """The array over its largest entry, so that squares stay in float32's range."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(array), initial=0))
    return array / jnp.where(largest == 0, 1, largest)


def _hollow(kernel: jax.Array) -> jax.Array:
    return jnp.where(jnp.eye(len(kernel), dtype=bool), 0, kernel)


def _centred(kernel: jax.Array) -> jax.Array:
    kernel = kernel - jnp.mean(kernel, axis=0, keepdims=True)
    return kernel - jnp.mean(kernel, axis=1, keepdims=True)


def _inner(kernel: jax.Array, other: jax.Array) -> jax.Array:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.sum(kernel * other)


def _unbiased_hsic(kernel: jax.Array, other: jax.Array) -> jax.Array:
    n = len(kernel)
    with jax.numpy_dtype_promotion("standard"):
        sums, other_sums = jnp.sum(kernel, axis=0), jnp.sum(other, axis=0)
        return (
            jnp.sum(kernel * other)
            + jnp.sum(sums) * jnp.sum(other_sums) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * jnp.sum(sums * other_sums)
        )
