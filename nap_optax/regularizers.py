"""Regularizers as gradient transformations, placed before the learning rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _boxes, _checks, _leaves, _masks, _norms, _report, masks

__all__ = ["L2InitState", "decay_scales", "l2_init"]


def decay_scales(
    decay: float | jax.Array, *, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds decoupled weight decay of the normalisation scales only ("scale decay").

    .. math::

        u \to u + \lambda\, s \quad \text{for each normalisation scale } s

    Place it before the learning rate (as ``optax.add_decayed_weights``), so that a
    scale shrinks by the learning rate times ``decay`` of itself per update. Projected
    weights cannot shrink the inputs of the attention's softmax; smaller scales can. The
    paper finds that projected networks with normalisation layers generalise only with
    it.

    Args:
      decay: the rate :math:`\lambda \ge 0`; may be traced.
      mask: which leaves are scales: a tree of booleans, a prefix of one, or a function
        from parameters to one. Default: leaves named ``scale``
        (:func:`nap_optax.masks.scales`).

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: if ``decay`` is not a finite number of 0 or more; from ``init`` if it
        is concrete and positive but the mask selects no leaf; from ``update`` if
        ``params`` is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("mask",)``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import decay_scales
      >>> params = {"scale": jnp.ones(2), "kernel": jnp.ones((2, 2))}
      >>> tx = decay_scales(0.5)
      >>> zeros = {"scale": jnp.zeros(2), "kernel": jnp.zeros((2, 2))}
      >>> updates, _ = tx.update(zeros, tx.init(params), params)
      >>> print(updates["scale"], updates["kernel"].sum())
      [0.5 0.5] 0.0

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 4.1
    """
    return _decay_scales_as("decay", decay, mask)


def _decay_scales_as(
    argument: str, decay: Any, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Makes :func:`decay_scales`, with the caller's name of the decay in its errors."""
    if callable(decay):
        raise ValueError(
            f"{argument}={_checks.shown(decay)}: must be a number; for a schedule, "
            "wrap "
            'decay_scales in optax.inject_hyperparams(..., static_args=("mask",))'
        )
    _checks.finite(argument, decay, 0)
    rate = _checks.concrete(argument, decay)
    scales = masks.scales if mask is None else mask

    def init_fn(params: optax.Params) -> optax.OptState:
        chosen = jax.tree.leaves(_masks.resolve(scales, params))
        if rate is not None and np.any(rate > 0) and chosen and not any(chosen):
            raise ValueError(
                "decay_scales: no leaf is a normalisation scale, so "
                f"{argument}={decay} "
                "would do nothing; name the scales by mask, or leave it out"
            )
        text = "of a traced rate" if rate is None else _rounded(rate)
        left_out = "no: not named scale" if mask is None else "no: mask"
        _report.add(
            "decay_scales",
            params,
            lambda: [f"decay {text}" if scale else left_out for scale in chosen],
        )
        return optax.EmptyState()

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        _checks.has_params("decay_scales", params)
        del extra_args

        def decayed(param: Any, update: Any, is_scale: bool) -> Any:
            if update is None or not is_scale or not _leaves.is_floating(param):
                return update
            dtype = jnp.result_type(update)  # not widened by a decay that is an array
            return update + jnp.asarray(decay, dtype) * jnp.asarray(param, dtype)

        chosen = jax.tree.leaves(_masks.resolve(scales, params))
        new = _leaves.new_updates(decayed, updates, params, "decay_scales", chosen)
        return new, state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


class L2InitState(NamedTuple):
    """State of :func:`l2_init`."""

    # Per selected leaf, its weights at `init`, in its shape and dtype. MaskedNode
    # elsewhere.
    initial_weights: Any


def l2_init(
    strength: float | jax.Array, *, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Pulls the weights toward their initial values ("L2 Init").

    .. math::

        u \to u + \lambda\, (w - w_0) \quad \text{for each selected leaf } w

    This is the gradient of :math:`\tfrac{\lambda}{2} \lVert w - w_0 \rVert^2`. The
    paper adds :math:`\lambda' \lVert \theta - \theta_0 \rVert^2` to the loss, without
    the half: its strength :math:`\lambda'` is ``strength=2 * λ'`` here.

    **Where in the chain.** Before the direction (``optax.scale_by_adam``) it is part of
    the gradient, as in the paper, and Adam divides it by the gradient's size. After the
    direction and before the learning rate it is decoupled, as the decay of AdamW:
    weights go back by the learning rate times ``strength`` of their distance.

    **With projection.** Place it before :func:`nap_optax.project_weights`. The radius
    is :math:`\lVert w_0 \rVert`, so :math:`w_0` is on the sphere and only the pull
    along the sphere is left: it turns weights back and does not change their norm.

    .. warning::
        The reference is the parameters that ``init`` saw, and never changes. Do not
        wrap this in :func:`nap_optax.restart`, and do not call ``init`` on trained
        parameters: either would pull the weights to their trained values.

    Args:
      strength: :math:`\lambda \ge 0`; may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: all floating-point leaves, including biases and
        scales, as in the paper (:func:`nap_optax.masks.floating`).

    Returns:
      A transformation whose ``update`` needs ``params``. Its state holds a copy of the
      selected leaves.

    Raises:
      ValueError: if ``strength`` is not a finite number of 0 or more; in ``update`` if
        ``params`` is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("mask",)``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import l2_init
      >>> tx = l2_init(0.5)
      >>> state = tx.init(jnp.array([1.0, 2.0]))
      >>> updates, state = tx.update(jnp.zeros(2), state, jnp.array([3.0, 2.0]))
      >>> print(updates)
      [1. 0.]

    References:
      Kumar, Marklund and Van Roy, `Maintaining Plasticity in Continual Learning via
      Regenerative Regularization <https://arxiv.org/abs/2308.11958>`_, 2023, section 3
    """
    _checks.finite("strength", strength, 0)

    @_leaves.works_on_shapes
    def init_fn(params: optax.Params) -> L2InitState:
        chosen, _ = _masks.selected(True if mask is None else mask, params, "l2_init")
        # The copies have the parameters' shapes, so they stay in boxes; MaskedNodes do
        # not.
        nodes = jax.tree.leaves(params, is_leaf=_boxes.is_box)
        copies = map(_copied, nodes, chosen)
        return L2InitState(jax.tree.unflatten(_boxes.structure(params), copies))

    def update_fn(
        updates: optax.Updates,
        state: L2InitState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, L2InitState]:
        del extra_args
        _checks.has_params("l2_init", params)

        def pulled(param: Any, update: Any, initial: Any) -> Any:
            if update is None or isinstance(initial, optax.MaskedNode):
                return update
            dtype = _norms.norm_dtype(update)
            distance = jnp.asarray(param, dtype) - jnp.asarray(initial, dtype)
            pull = jnp.asarray(strength, dtype) * distance
            return (jnp.asarray(update, dtype) + pull).astype(jnp.result_type(update))

        weights = _boxes.leaves_at(params, state.initial_weights)
        return _leaves.new_updates(pulled, updates, params, "l2_init", weights), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _rounded(rate: np.ndarray) -> str:
    return f"{rate.item():.4g}" if rate.size == 1 else str(rate)


def _copied(node: Any, selected: bool) -> Any:
    # A copy: the state must outlive parameters that are donated.
    return jax.tree.map(jnp.array, node) if selected else optax.MaskedNode()
