"""Effective learning rates: measured, nominal, held without projection, and limited."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, _masks, _norms, masks

__all__ = [
    "HoldElrState",
    "MeasureElrState",
    "effective_learning_rate",
    "hold_elr",
    "limit_elr",
    "measure_elr",
    "nominal_effective_learning_rate",
]


class MeasureElrState(NamedTuple):
    """State of :func:`measure_elr`."""

    relative_update: Any  # per leaf, shape=(), dtype=float32 at least; 0 at init


def effective_learning_rate(updates: optax.Updates, params: optax.Params) -> Any:
    r"""The relative update of each leaf, :math:`\lVert\Delta w\rVert/\lVert w\rVert`.

    The effective learning rate as measured. It equals the nominal one
    (:func:`nominal_effective_learning_rate`) times the norm of the update before the
    learning rate: constant for sign and normalised descent, not for Adam.

    From optax 0.2.7 on, a chain may end with ::

        optax.monitor({"elr": optax.stateless(effective_learning_rate)})

    whose state has another structure after the first update, so that it does not fit
    ``lax.scan``. That of :func:`measure_elr` does. (``optax.snapshot`` shows a function
    the updates only, not the parameters that this needs.)

    Args:
      updates: the updates at the end of the chain.
      params: the parameters they will be added to.

    Returns:
      A tree of the structure of ``params``, of scalars in float32 at least: the ratio
      of Frobenius norms. 0 where the parameters are all zero and where a leaf's update
      is ``None``.

    Examples:
      >>> import jax.numpy as jnp
      >>> updates = {"w": jnp.array([[0.3, 0.0]]), "b": jnp.ones(2)}
      >>> params = {"w": jnp.array([[0.0, 3.0]]), "b": jnp.zeros(2)}
      >>> elr = effective_learning_rate(updates, params)
      >>> print(f"{elr['w']:.2f} {elr['b']:.2f}")
      0.10 0.00
    """

    def relative(param: Any, update: Any) -> jax.Array:
        # In the dtype of the parameter's norm: a state must not change its own.
        dtype = _norms.norm_dtype(param)
        change = jnp.asarray(0 if update is None else update, dtype)
        return _over(_norms.norm(change), _norms.leaf_norm(param))

    return jax.tree.map(relative, params, updates)


def nominal_effective_learning_rate(
    learning_rate: float | jax.Array,
    params: optax.Params,
    *,
    power: float | jax.Array = 1,
) -> Any:
    r"""The learning rate over a power of each leaf's norm.

    What does not depend on the scale of :math:`w` changes at the learning rate
    :math:`\eta` as it would from :math:`w/\lVert w\rVert` at
    :math:`\eta/\lVert w\rVert^p`.

    Args:
      learning_rate: :math:`\eta`; may be traced.
      params: the parameters.
      power: 2 for gradient descent, 1 for updates that do not scale with the gradient
        (Adam, RMSProp, sign); may be traced.

    Returns:
      A tree of the structure of ``params``, of scalars in float32 at least; 0 where the
      parameters are all zero.

    Raises:
      ValueError: if an argument is not a number, or ``power`` not 0 or more.

    Examples:
      >>> import jax.numpy as jnp
      >>> params = {"w": jnp.array([[0.0, 4.0]])}
      >>> for power in (1, 2):
      ...     print(nominal_effective_learning_rate(0.8, params, power=power)["w"])
      0.2
      0.05

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 2 and equation 1
    """
    _checks.are_numbers(learning_rate=learning_rate)
    _checks.at_least(0, power=power)

    def nominal(param: Any) -> jax.Array:
        norm = _norms.leaf_norm(param)
        rate, exponent = (jnp.asarray(x, norm.dtype) for x in (learning_rate, power))
        return _over(rate, norm**exponent)

    return jax.tree.map(nominal, params)


def measure_elr() -> optax.GradientTransformationExtraArgs:
    """Measures :func:`effective_learning_rate` and changes nothing.

    Place it last in the chain, behind the projection; it is a transformation of its own
    and not something to measure with ``optax.monitor``.

    Returns:
      A transformation whose ``update`` needs ``params``. Read what it measured by
      ``optax.tree.get(state, "relative_update")``.

    Raises:
      ValueError: in ``update`` if ``params`` is missing.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import measure_elr, project_weights
      >>> tx = optax.chain(optax.sgd(0.1), project_weights(), measure_elr())
      >>> params = {"w": jnp.array([[3.0, 4.0]])}
      >>> _, state = tx.update({"w": jnp.array([[4.0, -3.0]])}, tx.init(params), params)
      >>> print(f"{optax.tree.get(state, 'relative_update')['w']:.4f}")
      0.0996
    """

    def init_fn(params: optax.Params) -> MeasureElrState:
        shapes = jax.eval_shape(effective_learning_rate, params, params)
        return MeasureElrState(relative_update=optax.tree.zeros_like(shapes))

    def update_fn(
        updates: optax.Updates,
        state: MeasureElrState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, MeasureElrState]:
        del state, extra_args
        _checks.has_params("measure_elr", params)
        return updates, MeasureElrState(effective_learning_rate(updates, params))

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _over(value: jax.Array, norm: jax.Array) -> jax.Array:
    zero = norm == 0
    return jnp.where(zero, 0, value / jnp.where(zero, 1, norm))


class HoldElrState(NamedTuple):
    """State of :func:`hold_elr`."""

    # Per selected leaf, its norm at init: shape=(), float32 at least. MaskedNode
    # elsewhere.
    reference_norm: Any


def hold_elr(
    power: float | jax.Array = 1, *, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Makes up for a growing norm by growing updates, instead of projecting.

    .. math::

        u \to \left(\frac{\lVert w_t \rVert}{\lVert w_0 \rVert}\right)^{p} u
        \quad \text{for each selected leaf } w

    Each leaf's nominal effective learning rate then follows the schedule while its norm
    moves freely. Where the loss does not depend on the scale of any leaf and updates
    have no memory (gradient descent, sign, normalised descent), the network learns the
    same functions as under :func:`nap_optax.project_weights`; with moments (momentum,
    Adam) about the same, for they mix gradients taken at different norms.

    Place it after the direction, before or after the learning rate: both only multiply.

    Args:
      power: 2 for gradient descent, 1 for updates that do not scale with the gradient
        (Adam, RMSProp, sign); may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        (:func:`nap_optax.masks.matrices`).

    Returns:
      A transformation whose ``update`` needs ``params``. Its reference is the norm that
      ``init`` saw: a leaf that is zero then keeps its updates as they are, and ``init``
      warns (outside ``jit``). The factor is 1, too, while a norm is zero or not finite.

    Raises:
      ValueError: if ``power`` is not a number of 0 or more; in ``update`` if ``params``
        is missing. Under ``optax.inject_hyperparams``, pass ``static_args=("mask",)``.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import hold_elr
      >>> tx = optax.chain(optax.sgd(0.5), hold_elr(power=2))
      >>> params = jnp.array([[1.0, 0.0]])
      >>> state = tx.init(params)
      >>> for _ in range(2):
      ...     updates, state = tx.update(jnp.array([[-2.0, 0.0]]), state, params)
      ...     params = optax.apply_updates(params, updates)
      ...     print(updates[0, 0], end=" ")
      1.0 4.0

    References:
      Lyle et al., `Normalization and effective learning rates in reinforcement
      learning <https://arxiv.org/abs/2407.01800>`_, 2024
    """
    _checks.scalar("power", power, "a number of 0 or more", lambda number: number >= 0)

    def init_fn(params: optax.Params) -> HoldElrState:
        chosen = _masks.selected(mask, params, "hold_elr")
        held = jax.tree.map(_reference, params, chosen)
        _warn_of_zeros(held)
        return HoldElrState(reference_norm=held)

    def update_fn(
        updates: optax.Updates,
        state: HoldElrState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, HoldElrState]:
        del extra_args
        _checks.has_params("hold_elr", params)

        def hold(param: Any, update: Any, reference: Any) -> Any:
            if isinstance(reference, optax.MaskedNode):
                return update
            growth = _norms.ratio(_norms.leaf_norm(param), reference)
            return _norms.scaled(update, growth ** jnp.asarray(power, growth.dtype))

        return jax.tree.map(hold, params, updates, state.reference_norm), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _reference(leaf: Any, selected: bool) -> Any:
    return _norms.leaf_norm(leaf) if selected else optax.MaskedNode()


def _warn_of_zeros(held: Any) -> None:
    zeros = [
        path
        for path, norm in zip(*_masks.named_leaves(held), strict=True)
        if _norms.is_readable(norm) and not _norms.is_usable(norm)
    ]
    if zeros:
        warnings.warn(
            f"hold_elr: {', '.join(map(repr, zeros))}: zero at init (or too small or "
            "large for a norm in float32), so updates stay as they are; leave it out "
            "by mask",
            stacklevel=3,
        )


def limit_elr(
    max_elr: float | jax.Array, *, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Scales down the update of each leaf that is a larger share of its norm.

    .. math::

        u \to u \min\left(1, \; c \frac{\lVert w \rVert}{\lVert u \rVert}\right)
        \quad \text{for each selected leaf } w

    The schedule gives the effective learning rate of a normal update; this bounds that
    of the worst. Adam's updates grow many times over when gradients return after a
    quiet time, since its second moment lags behind them, and at a norm that projection
    holds nothing else takes the step back.

    Place it after the learning rate and before :func:`nap_optax.project_weights`, whose
    own correction is not limited: at every k-th update only it may be larger.
    ``optax.adaptive_grad_clip`` bounds *gradients* by unit, ahead of the optimizer,
    where one that divides by its own second moment undoes it.

    Args:
      max_elr: :math:`c > 0`, the largest norm of an update over the norm of its leaf;
        may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        (:func:`nap_optax.masks.matrices`).

    Returns:
      A transformation without state whose ``update`` needs ``params``. The update of a
      leaf that is zero, and one that is not finite, are passed on as they are.

    Raises:
      ValueError: if ``max_elr`` is not a positive number; in ``update`` if ``params``
        is missing. Under ``optax.inject_hyperparams``, pass ``static_args=("mask",)``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import limit_elr
      >>> params = {"w": jnp.array([[3.0, 4.0]]), "b": jnp.ones(2)}
      >>> tx = limit_elr(0.1)
      >>> updates = {"w": jnp.array([[0.0, 2.0]]), "b": jnp.full(2, 2.0)}
      >>> updates, _ = tx.update(updates, tx.init(params), params)
      >>> print(updates["w"], updates["b"])
      [[0.  0.5]] [2. 2.]

    References:
      You et al., `Large Batch Training of Convolutional Networks
      <https://arxiv.org/abs/1708.03888>`_, 2017, who scale each layer's update to a
      share of its norm, where this only bounds it
    """
    _checks.scalar("max_elr", max_elr, "a positive number", lambda c: c > 0)

    def init_fn(params: optax.Params) -> optax.OptState:
        _masks.selected(mask, params, "limit_elr")  # warns if that is none
        return optax.EmptyState()

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del extra_args
        _checks.has_params("limit_elr", params)
        chosen = _masks.resolve(masks.matrices if mask is None else mask, params)

        def limited(param: Any, update: Any, is_chosen: bool) -> Any:
            if update is None or not is_chosen:
                return update
            weights = _norms.leaf_norm(param)
            most = jnp.maximum(jnp.asarray(max_elr, weights.dtype), 0) * weights
            # Over its largest entry first: squares of 1e20 overflow float32, and it is
            # the very large updates that must not pass.
            update_wide = _norms.widened(update)
            largest = jnp.max(jnp.abs(update_wide), initial=0)
            unit = update_wide / jnp.where(largest > 0, largest, 1)
            # What the largest entry may be; of an update of zeros, anything.
            allowed = most / jnp.maximum(_norms.leaf_norm(unit), 1e-30)
            # A norm of zero gives no measure: such a leaf would never start to move.
            too_large = (
                _norms.is_usable(weights) & jnp.isfinite(largest) & (largest > allowed)
            )
            return _norms.scaled(update, jnp.where(too_large, allowed / largest, 1))

        return jax.tree.map(limited, params, updates, chosen), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
