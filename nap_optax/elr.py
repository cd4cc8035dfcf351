"""Effective learning rates: measured, nominal, held without projection, and limited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _boxes, _checks, _layers, _leaves, _masks, _norms

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

    # Per leaf, shape=() (of stacked layers, the leaf's shape with 1 on the axes within
    # a layer), dtype=float32 at least; 0 at init.
    relative_update: Any


def effective_learning_rate(
    updates: optax.Updates, params: optax.Params, *, layer_axes: Any = None
) -> Any:
    r"""The relative update of each leaf, :math:`\lVert\Delta w\rVert/\lVert w\rVert`.

    This is the measured effective learning rate. It equals the nominal one
    (:func:`nominal_effective_learning_rate`) times the norm of the update before the
    learning rate. That norm is constant for sign and normalised descent, not for Adam.

    From optax 0.2.7 on, a chain may end with ::

        optax.monitor({"elr": optax.stateless(effective_learning_rate)})

    Its state changes structure at the first update, so it does not fit
    ``lax.scan``; the state of :func:`measure_elr` does. (``optax.snapshot`` passes a
    function the updates only, and this one needs the parameters, too.)

    Args:
      updates: the updates at the end of the chain.
      params: the parameters they will be added to.
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`.

    Returns:
      The ratios of Frobenius norms, in float32 at least, as a tree of the structure of
      ``params`` without Flax's boxes. A ratio has shape ``()``, or, for stacked layers,
      the leaf's shape with 1 on the axes within a layer. It is 0 if the leaf is all
      zero or not floating-point, or if its update is ``None``.

    Raises:
      ValueError: if ``layer_axes`` does not fit the parameters.

    Examples:
      >>> import jax.numpy as jnp
      >>> updates = {"w": jnp.array([[0.3, 0.0]]), "b": jnp.ones(2)}
      >>> params = {"w": jnp.array([[0.0, 3.0]]), "b": jnp.zeros(2)}
      >>> elr = effective_learning_rate(updates, params)
      >>> print(f"{elr['w']:.2f} {elr['b']:.2f}")
      0.10 0.00
    """
    axes = [
        _layers.axes_within(_leaves.ndim(leaf), stacked)
        for leaf, stacked in zip(
            jax.tree.leaves(params), _layers.of_leaves(layer_axes, params), strict=True
        )
    ]
    new = _leaves.updates_of(updates, params, "effective_learning_rate")
    return _relative_updates(new, params, axes)


def _relative_updates(
    updates: Sequence[Any], params: optax.Params, axes: Sequence[Any]
) -> Any:
    def relative(param: Any, update: Any, over: Any) -> jax.Array:
        if not _leaves.is_floating(param):
            return jnp.zeros([], jnp.float32)
        # In the dtype of the parameter's norm, because a state must not change its
        # dtype.
        dtype = _norms.norm_dtype(param)
        moves = _leaves.is_floating(update)
        change = jnp.asarray(update if moves else jnp.zeros_like(param), dtype)
        return _over(_norms.norm(change, over), _norms.leaf_norm(param, over))

    return _boxes.per_parameter(
        params, list(map(relative, jax.tree.leaves(params), updates, axes))
    )


def nominal_effective_learning_rate(
    learning_rate: float | jax.Array,
    params: optax.Params,
    *,
    power: float | jax.Array = 1.0,
    layer_axes: Any = None,
) -> Any:
    r"""The learning rate over a power of each leaf's norm.

    If a network does not depend on the scale of :math:`w`, it learns at the learning
    rate :math:`\eta` as it would from :math:`w/\lVert w\rVert` at
    :math:`\eta/\lVert w\rVert^p`.

    Args:
      learning_rate: :math:`\eta`; may be traced.
      params: the parameters.
      power: 2 for gradient descent, 1 for updates that do not scale with the gradient
        (Adam, RMSProp, sign); may be traced.
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`.

    Returns:
      A tree like that of :func:`effective_learning_rate`. It is 0 if the leaf is all
      zero (with a ``power`` of 0, the learning rate) or not floating-point.

    Raises:
      ValueError: if ``learning_rate`` is not a finite number, ``power`` is not a number
        of 0 or more, ``params`` are shapes only, or ``layer_axes`` does not fit them.

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
    _checks.finite("learning_rate", learning_rate)
    _checks.finite("power", power, 0)
    _leaves.need_values("params", params)

    def nominal(param: Any, stacked: tuple[int, ...]) -> jax.Array:
        if not _leaves.is_floating(param):
            return jnp.zeros([], jnp.float32)
        axes = _layers.axes_within(_leaves.ndim(param), stacked)
        norm = _norms.leaf_norm(param, axes)
        rate, exponent = (jnp.asarray(x, norm.dtype) for x in (learning_rate, power))
        return _over(rate, norm**exponent)

    stacks = _layers.of_leaves(layer_axes, params)
    leaves = jax.tree.leaves(params)
    return _boxes.per_parameter(params, list(map(nominal, leaves, stacks)))


def measure_elr(*, layer_axes: Any = None) -> optax.GradientTransformationExtraArgs:
    """Measures :func:`effective_learning_rate` and changes nothing.

    Place it last in the chain, behind the projection. It is a transformation, not a
    function for ``optax.monitor``.

    Args:
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`.

    Returns:
      A transformation whose ``update`` needs ``params``. Read its measurement with
      ``optax.tree.get(state, "relative_update")``.

    Raises:
      ValueError: from ``init`` if ``layer_axes`` does not fit the parameters; in
        ``update`` if ``params`` is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("layer_axes",)``.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import measure_elr, project_weights
      >>> tx = optax.chain(optax.sgd(0.1), project_weights(), measure_elr())
      >>> params = {"w": jnp.array([[3.0, 4.0]])}
      >>> _, state = tx.update({"w": jnp.array([[4.0, -3.0]])}, tx.init(params), params)
      >>> print(f"{optax.tree.get(state, 'relative_update')['w']:.4f}")
      0.0996
    """

    @_leaves.works_on_shapes
    def init_fn(params: optax.Params) -> MeasureElrState:
        measured = effective_learning_rate(params, params, layer_axes=layer_axes)
        return MeasureElrState(relative_update=optax.tree.zeros_like(measured))

    def update_fn(
        updates: optax.Updates,
        state: MeasureElrState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, MeasureElrState]:
        del extra_args
        _checks.has_params("measure_elr", params)
        before = _boxes.leaves_at(params, state.relative_update)
        axes = [
            _norms.axes_of(getattr(leaf, "shape", ()), ratio)
            for leaf, ratio in zip(jax.tree.leaves(params), before, strict=True)
        ]
        new = _leaves.updates_of(updates, params, "measure_elr")
        return updates, MeasureElrState(_relative_updates(new, params, axes))

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _over(value: jax.Array, norm: jax.Array) -> jax.Array:
    zero = norm == 0
    return jnp.where(zero, 0, value / jnp.where(zero, 1, norm))


class HoldElrState(NamedTuple):
    """State of :func:`hold_elr`."""

    # Per selected leaf, its norm at init: shape=() (of stacked layers, the leaf's shape
    # with 1 on the axes within a layer), float32 at least. MaskedNode elsewhere.
    reference_norm: Any


def hold_elr(
    power: float | jax.Array = 1.0, *, mask: Any = None, layer_axes: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Scales each update with the norm of its weights, in place of projecting them.

    .. math::

        u \to \left(\frac{\lVert w_t \rVert}{\lVert w_0 \rVert}\right)^{p} u
        \quad \text{for each selected leaf } w

    Each leaf's nominal effective learning rate then follows the schedule while its norm
    moves freely. Suppose that the loss does not depend on the scale of any leaf. If
    updates have no memory (gradient descent, sign, normalised descent), the network
    then learns the same functions as under :func:`nap_optax.project_weights`. With
    moments (momentum, Adam) they are about the same, because moments mix gradients
    taken at different norms.

    Place it after the direction, before or after the learning rate.

    Args:
      power: 2 for gradient descent, 1 for updates that do not scale with the gradient
        (Adam, RMSProp, sign); may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        that are not named ``scale`` or ``bias`` (:func:`nap_optax.masks.matrices`).
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`. Each layer counts as a leaf.

    Returns:
      A transformation whose ``update`` needs ``params``. Its reference is the norm at
      ``init``. If a leaf is zero at ``init``, its updates stay as they are, and
      ``init`` warns (outside ``jit``). The factor is also 1 while a norm is zero or not
      finite.

    Raises:
      ValueError: if ``power`` is not a number of 0 or more; in ``update`` if ``params``
        is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("mask", "layer_axes")``.

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
    _checks.finite("power", power, 0)

    @_leaves.works_on_shapes
    def init_fn(params: optax.Params) -> HoldElrState:
        chosen, stacks = _masks.selected(mask, params, "hold_elr", layer_axes)
        paths, leaves = _leaves.named_leaves(params)
        held = list(map(_reference, leaves, chosen, stacks))
        _warn_of_zeros(paths, held)
        return HoldElrState(reference_norm=_boxes.per_parameter(params, held))

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
            axes = _norms.axes_of(jnp.shape(param), reference)
            growth = _norms.ratio(_norms.leaf_norm(param, axes), reference)
            return _norms.scaled(update, growth ** jnp.asarray(power, growth.dtype))

        norms = _boxes.leaves_at(params, state.reference_norm)
        return _leaves.new_updates(hold, updates, params, "hold_elr", norms), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _reference(leaf: Any, selected: bool, stacked: tuple[int, ...]) -> Any:
    if not selected:
        return optax.MaskedNode()
    return _norms.leaf_norm(leaf, _layers.axes_within(jnp.ndim(leaf), stacked))


def _warn_of_zeros(paths: Sequence[str], held: Sequence[Any]) -> None:
    zeros = [
        path
        for path, norm in zip(paths, held, strict=True)
        if isinstance(norm, jax.Array)
        and _norms.is_readable(norm)
        and not np.all(_norms.is_usable(norm))
    ]
    if zeros:
        _checks.warn(
            f"hold_elr: {', '.join(map(repr, zeros))}: zero at init (or too small or "
            "large for a norm in float32), so updates stay as they are; leave it out "
            "by mask"
        )


def limit_elr(
    max_elr: float | jax.Array, *, mask: Any = None, layer_axes: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Caps the update of each leaf at a share of the leaf's norm.

    .. math::

        u \to u \min\left(1, \; c \frac{\lVert w \rVert}{\lVert u \rVert}\right)
        \quad \text{for each selected leaf } w

    The schedule sets the effective learning rate of a normal update; this limits the
    largest. Adam's updates grow many times over when gradients return after a quiet
    time, because its second moment lags behind them. At a norm that projection holds,
    nothing else limits such a step.

    Place it after the learning rate and before :func:`nap_optax.project_weights`. The
    correction of the projection is not limited; with ``every=k`` it may be larger at
    every k-th update. ``optax.adaptive_grad_clip`` bounds the *gradients* of each unit
    before the optimizer. An optimizer that divides by its own second moment undoes it.

    Args:
      max_elr: :math:`c > 0`, the largest norm of an update over the norm of its leaf;
        may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        that are not named ``scale`` or ``bias`` (:func:`nap_optax.masks.matrices`).
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`. Each layer counts as a leaf.

    Returns:
      A transformation without state whose ``update`` needs ``params``. If a leaf is
      zero or its update is not finite, the update stays as it is.

    Raises:
      ValueError: if ``max_elr`` is not a positive number; in ``update`` if ``params``
        is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("mask", "layer_axes")``.

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
      <https://arxiv.org/abs/1708.03888>`_, 2017; they scale each layer's update to a
      share of its norm, where this only bounds it
    """
    _checks.scalar("max_elr", max_elr, "a positive number", lambda c: c > 0)

    def init_fn(params: optax.Params) -> optax.OptState:
        _masks.selected(mask, params, "limit_elr", layer_axes)  # for its warnings
        _layers.check_update_sees(layer_axes, params, "limit_elr")
        return optax.EmptyState()

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del extra_args
        _checks.has_params("limit_elr", params)
        stacks = _layers.of_leaves(layer_axes, params)
        chosen = _masks.chosen(mask, params, stacks)

        def limited(
            param: Any, update: Any, is_chosen: bool, stacked: tuple[int, ...]
        ) -> Any:
            if update is None or not is_chosen:
                return update
            axes = _layers.axes_within(jnp.ndim(param), stacked)
            weights = _norms.leaf_norm(param, axes)
            most = jnp.maximum(jnp.asarray(max_elr, weights.dtype), 0) * weights
            # Divided by its largest entry first: squares of 1e20 overflow float32, and
            # very large updates are the ones to limit.
            update_wide = _norms.widened(update)
            largest = jnp.max(
                jnp.abs(update_wide), axes, initial=0, keepdims=axes is not None
            )
            unit = update_wide / jnp.where(largest > 0, largest, 1)
            # The largest entry allowed; for an update of zeros, any number.
            allowed = most / jnp.maximum(_norms.norm(unit, axes), 1e-30)
            # A leaf of zeros is not limited, or it would never start to move.
            too_large = (
                _norms.is_usable(weights) & jnp.isfinite(largest) & (largest > allowed)
            )
            # Never divided by zero, because the derivative would be NaN.
            factor = allowed / jnp.where(too_large, largest, 1)
            return _norms.scaled(update, jnp.where(too_large, factor, 1))

        new = _leaves.new_updates(limited, updates, params, "limit_elr", chosen, stacks)
        return new, state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
