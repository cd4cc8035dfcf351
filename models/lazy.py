"""Lazy versions of any model: outputs minus the initial outputs, scaled by α.

The larger α, the less the parameters have to move to fit targets, and the closer
training is to that of the linearised model. The smaller α, the more features change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["lazy", "lazy_from_offset", "lazy_learning_rate"]

Apply = Callable[..., Any]
"""``(params, *inputs) -> outputs``."""


def lazy(
    apply: Apply, initial_params: Any, alpha: float | jax.Array, *, center: bool = True
) -> Apply:
    r"""A model scaled by α and, if ``center``, zero at its initial parameters.

    .. math::

        \tilde f(\theta, x) = \alpha \bigl(f(\theta, x) - f(\theta_0, x)\bigr)

    The two outputs differ by some 1 / α, and the parameters move by as little, so α
    also scales their rounding errors: in float32 a result is good to about
    :math:`10^{-7} \alpha`. From α = 100 on, use :func:`lazy_from_offset`, the same
    function without that error.

    Args:
      apply: the model, ``(params, *inputs) -> outputs``; outputs are an array or a tree
        of arrays.
      initial_params: :math:`\theta_0`. The model is also computed with them, without a
        gradient, so a forward pass costs twice as much.
      alpha: α, not zero. May be traced.
      center: whether to subtract the outputs of the initial parameters.

    Returns:
      A function like ``apply``.

    Raises:
      ValueError: if ``alpha`` is 0 or not finite.

    Examples:
      >>> from models.lazy import lazy
      >>> scaled = lazy(lambda w, x: w * x, 2.0, alpha=10.0)
      >>> scaled(2.5, 4.0)
      20.0

    References:
      Chizat et al., `On Lazy Training in Differentiable Programming
      <https://arxiv.org/abs/1812.07956>`_, 2019, section 1; Kumar et al., `Grokking as
      the Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024
    """
    _check_alpha(alpha)

    def scaled_apply(params: Any, *inputs: Any) -> Any:
        outputs = apply(params, *inputs)
        if not center:
            return jax.tree.map(lambda new: alpha * new, outputs)
        initial = jax.lax.stop_gradient(apply(initial_params, *inputs))
        return jax.tree.map(lambda new, old: alpha * (new - old), outputs, initial)

    return scaled_apply


def lazy_from_offset(
    apply: Apply,
    initial_params: Any,
    alpha: float | jax.Array,
    *,
    num_nodes: int = 2,
) -> Apply:
    r"""The centred :func:`lazy` model as a function of how far its parameters moved.

    .. math::

        \tilde f(\delta, x)
        = \alpha \bigl(f(\theta_0 + \delta, x) - f(\theta_0, x)\bigr)
        = \alpha \int_0^1 \frac{\partial f}{\partial \theta}(\theta_0 + s \delta, x)
        \, \delta \; ds.

    Train the offset :math:`\delta`, from zeros: its gradients are those of the
    parameters. Because it is stored alone, it keeps all of its digits, however small it
    is beside :math:`\theta_0`. The integral, computed by Gauss-Legendre quadrature,
    subtracts nothing. So float32 suffices for any α.

    With n nodes it is exact if f is a polynomial of degree 2n in the parameters (a
    quadratic network needs one node with fixed readouts, two with trained ones).
    Otherwise the error is of the order :math:`\alpha \lvert\delta\rvert^{2n + 1}`. At
    small α, where the offset is large, use :func:`lazy`. A node costs about two forward
    passes.

    Args:
      apply: the model, ``(params, *inputs) -> outputs``, differentiable in its
        parameters, all of which are floating-point arrays.
      initial_params: :math:`\theta_0`.
      alpha: α, not zero. May be traced.
      num_nodes: n, the nodes of the quadrature. Static.

    Returns:
      ``(offset, *inputs) -> outputs``, with an offset like the parameters.

    Raises:
      ValueError: if ``alpha`` is 0 or not finite, or ``num_nodes`` is below 1; from the
        returned function, if its offset has another structure or shape.

    Examples:
      >>> from models.lazy import lazy_from_offset
      >>> scaled = lazy_from_offset(lambda w, x: w * w * x, 2.0, alpha=10.0)
      >>> print(scaled(0.5, 4.0))  # 10 (2.5^2 - 2^2) 4
      90.0
    """
    _check_alpha(alpha)
    if not isinstance(num_nodes, int) or num_nodes < 1:
        raise ValueError(f"num_nodes must be an int of at least 1, got {num_nodes!r}.")
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    rule = [
        (float(1 + node) / 2, float(weight) / 2)
        for node, weight in zip(nodes, weights, strict=True)
    ]

    def scaled_apply(offset: Any, *inputs: Any) -> Any:
        _check_offset(initial_params, offset)

        def part(share: float, weight: float) -> Any:
            """Returns the integral's term at a node."""
            params = jax.tree.map(
                lambda start, move: jnp.asarray(start + share * move),
                initial_params,
                offset,
            )
            tangents = jax.tree.map(
                lambda param, move: jnp.asarray(move, param.dtype), params, offset
            )
            _, change = jax.jvp(lambda p: apply(p, *inputs), (params,), (tangents,))
            return jax.tree.map(lambda leaf: alpha * weight * leaf, change)

        parts = [part(share, weight) for share, weight in rule]
        return jax.tree.map(lambda *leaves: sum(leaves), *parts)

    return scaled_apply


def lazy_learning_rate(
    base_rate: Any, alpha: float | jax.Array, *, width: int = 1
) -> Any:
    r"""The rate at which gradient descent learns a task equally fast at any α.

    .. math::

        \eta = \eta_0 \frac{N}{\alpha^2}

    Scaling a model by α multiplies its tangent kernel by :math:`\alpha^2`. A mean-field
    model, an average over N units, has 1 / N of the kernel of their sum. This rate
    cancels both: the function moves by :math:`\eta_0` times the kernel of the unscaled
    sum's average unit. The rule is for gradient descent, also with momentum; updates of
    Adam do not scale with the gradient.

    Args:
      base_rate: :math:`\eta_0`, a number or a schedule of optax.
      alpha: α, not zero. May be traced.
      width: N for a mean-field model, 1 for others.

    Returns:
      The rate, or a schedule of it.

    Raises:
      ValueError: if ``alpha`` is 0 or not finite, ``width`` is below 1, or
        ``base_rate`` is negative or not finite.

    Examples:
      >>> from models.lazy import lazy_learning_rate
      >>> lazy_learning_rate(2.0, 10.0, width=500)
      10.0

    References:
      Kumar et al., `Grokking as the Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024, section 8.1, which leaves out N
    """
    _check_alpha(alpha)
    if not _holds(width, lambda number: np.greater_equal(number, 1)):
        raise ValueError(f"width must be at least 1, got {width!r}.")
    if not callable(base_rate) and not _holds(
        base_rate, lambda number: np.greater_equal(number, 0)
    ):
        raise ValueError(f"base_rate must be finite and at least 0, got {base_rate!r}.")
    # Divided twice, because the square of a small or large α is out of range.
    if callable(base_rate):
        return lambda count: base_rate(count) * width / alpha / alpha
    return base_rate * width / alpha / alpha


def _check_alpha(alpha: Any) -> None:
    if not _holds(alpha, lambda number: np.not_equal(number, 0)):
        raise ValueError(f"alpha must be a finite number other than 0, got {alpha!r}.")


def _holds(number: Any, condition: Callable[[Any], Any]) -> bool:
    """Whether a number is finite and meets a condition; traced ones pass."""
    if isinstance(number, jax.core.Tracer):
        return True
    try:
        return bool(np.all(np.isfinite(number) & condition(number)))
    except TypeError:  # no number
        return False


def _check_offset(initial_params: Any, offset: Any) -> None:
    structures: list[Any] = [
        jax.tree.structure(tree) for tree in (initial_params, offset)
    ]
    if structures[0] != structures[1]:
        raise ValueError(
            f"offset must be a tree like initial_params, {structures[0]}, got "
            f"{structures[1]}."
        )
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (initial_params, offset)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"offset must have the shapes of initial_params, {shapes[0]}, got "
            f"{shapes[1]}."
        )
