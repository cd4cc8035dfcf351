"""Limits effective learning rates: no leaf moves by more than a share of its norm."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, masks, norms

__all__ = ["limit_elr"]


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
        masks.selected(mask, params, "limit_elr")  # warns if that is none
        return optax.EmptyState()

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del extra_args
        _checks.has_params("limit_elr", params)
        chosen = masks.resolve(masks.matrices if mask is None else mask, params)

        def limited(param: Any, update: Any, is_chosen: bool) -> Any:
            if update is None or not is_chosen:
                return update
            weights = norms.leaf_norm(param)
            most = jnp.maximum(jnp.asarray(max_elr, weights.dtype), 0) * weights
            # Over its largest entry first: squares of 1e20 overflow float32, and it is
            # the very large updates that must not pass.
            update_wide = norms.widened(update)
            largest = jnp.max(jnp.abs(update_wide), initial=0)
            unit = update_wide / jnp.where(largest > 0, largest, 1)
            # What the largest entry may be; of an update of zeros, anything.
            allowed = most / jnp.maximum(norms.leaf_norm(unit), 1e-30)
            # A norm of zero gives no measure: such a leaf would never start to move.
            too_large = (
                norms.is_usable(weights) & jnp.isfinite(largest) & (largest > allowed)
            )
            return norms.scaled(update, jnp.where(too_large, allowed / largest, 1))

        return jax.tree.map(limited, params, updates, chosen), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
