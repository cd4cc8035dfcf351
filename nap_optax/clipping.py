"""Clips each weight to a multiple of its initial range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, _layers, _leaves, _masks, _norms

__all__ = ["clip_weights"]


def clip_weights(
    multiplier: float | jax.Array, *, mask: Any = None, layer_axes: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Keeps each weight within a multiple of the range of a uniform initialisation.

    For each selected leaf :math:`W` and update :math:`u`, emits the update that takes
    each weight to

    .. math::

        W + u \;\to\; \operatorname{clip}(W + u, -\kappa s, \kappa s), \qquad
        s = 1 / \sqrt{\text{fan-in}}

    where the fan-in is the product of all axes but the last, as in Flax: ``(in, out)``
    for dense layers, ``(height, width, in, out)`` for convolutions. Updates that stay
    within the bounds are passed on to the bit. NaN stays NaN; an infinite update takes
    its weight to the bound.

    .. warning::
        Must be last: a later change of the updates may take weights out of bounds.

    **At the start.** :math:`s` is the bound of PyTorch's default initialisation.
    ``lecun_normal``, Flax's default, has the standard deviation :math:`s`, so at
    ``multiplier=1`` the first update clips about a third of all weights. It draws no
    weight beyond 2.3 times that bound.

    **With projection.** Clipping bounds each weight, and projection holds the norm of
    all: chain ``clip_weights`` and then ``project_weights``, which must be last. The
    norms are then exact. Clipping lowers the norm and projection restores it, so
    weights may exceed their bounds by that factor. In the other order the bounds are
    exact and norms fall below their radii, so the effective learning rate no longer
    follows the schedule. A corner of the box has norm
    :math:`\kappa \sqrt{\text{fan-out}}`, and ``lecun_normal`` a norm of about
    :math:`\sqrt{\text{fan-out}}`. With :math:`\kappa` near 1 or less, both bound and
    norm can hold only if all weights have one size.

    Args:
      multiplier: the factor :math:`\kappa > 0` of the bound :math:`s`; may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        that are not named ``scale`` or ``bias`` (:func:`nap_optax.masks.matrices`).
        The paper also clips biases, with the bound of their layer's weights; for that,
        pass a mask that selects them. Scales of normalisation layers have no fan-in.
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`. Each layer counts as a leaf.

    Returns:
      A transformation without state whose ``update`` needs ``params``.

    Raises:
      ValueError: if ``multiplier`` is not a positive number; from ``init`` if the mask
        selects a leaf of fewer than two dimensions without exactly one fan-in among
        the leaves beside it; in ``update`` if ``params`` is missing. Under
        ``optax.inject_hyperparams``, pass ``static_args=("mask", "layer_axes")``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import clip_weights
      >>> params = jnp.zeros((4, 1))  # a fan-in of 4: s = 1/2
      >>> tx = clip_weights(2.0)
      >>> updates, _ = tx.update(jnp.full((4, 1), 3.0), tx.init(params), params)
      >>> print(updates[0])
      [1.]

    References:
      Elsayed, Lan, Lyle and Mahmood, `Weight Clipping for Deep Continual and
      Reinforcement Learning <https://arxiv.org/abs/2407.01704>`_, 2024
    """
    _checks.scalar("multiplier", multiplier, "a positive number", lambda m: m > 0)

    def init_fn(params: optax.Params) -> optax.OptState:
        chosen, stacks = _masks.selected(mask, params, "clip_weights", layer_axes)
        _layers.check_update_sees(layer_axes, params, "clip_weights")
        _bounds(params, chosen, stacks)
        return optax.EmptyState()

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del extra_args
        _checks.has_params("clip_weights", params)

        def clipped(param: Any, update: Any, bound: float) -> Any:
            if update is None or math.isinf(bound):
                return update
            weights = _norms.widened(param)
            limit = jnp.asarray(multiplier, weights.dtype) * bound
            inside = jnp.clip(
                jnp.asarray(update, weights.dtype), -limit - weights, limit - weights
            )
            return inside.astype(jnp.result_type(update))

        stacks = _layers.of_leaves(layer_axes, params)
        bounds = _bounds(params, _masks.chosen(mask, params, stacks), stacks)
        new = _leaves.new_updates(clipped, updates, params, "clip_weights", bounds)
        return new, state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _bounds(
    params: optax.Params, chosen: Sequence[bool], stacks: Sequence[tuple[int, ...]]
) -> list[float]:
    """The bound of each leaf's weights; infinite for leaves that are not selected."""
    paths, leaves = _leaves.named_leaves(params)
    layers = [path.rpartition("/")[0] for path in paths]
    fans = list(map(_fan_in, paths, leaves, stacks))
    bounds = [math.inf] * len(leaves)
    for i, (path, layer) in enumerate(zip(paths, layers, strict=True)):
        if not chosen[i]:
            continue
        beside = {f for f, at in zip(fans, layers, strict=True) if f and at == layer}
        candidates = {fans[i]} if fans[i] else beside
        if len(candidates) != 1:
            raise ValueError(
                f"clip_weights: {path!r} has fewer than two dimensions and not one "
                "matrix beside it, so it has no fan-in; leave it out by mask"
            )
        bounds[i] = 1 / math.sqrt(candidates.pop())
    return bounds


def _fan_in(path: str, leaf: Any, stacked: tuple[int, ...]) -> int:
    """The fan-in of a leaf; 0 for a bias or fewer than two dimensions within a layer.

    A bias of two dimensions, as in an attention, has the fan-in of its kernel.
    """
    if not _leaves.is_matrix(path, leaf, stacked):
        return 0
    within = [n for axis, n in enumerate(leaf.shape) if axis not in stacked]
    return max(math.prod(within[:-1]), 1)
