"""Regularizers as gradient transformations, placed before the learning rate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _checks, masks

__all__ = ["decay_scales"]


def decay_scales(
    decay: float | jax.Array, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds decoupled weight decay of the normalisation scales only ("scale decay").

    .. math::

        u \to u + \lambda\, s \quad \text{for each normalisation scale } s

    Placed before the learning rate (as ``optax.add_decayed_weights``), so that a scale
    shrinks by the learning rate times ``decay`` of itself per update. Projected weights
    cannot shrink the inputs of the attention's softmax; smaller scales can, and with
    normalisation layers the paper finds that projected networks generalise only so.

    Args:
      decay: the rate :math:`\lambda \ge 0`; may be traced.
      mask: which leaves are scales: a tree of booleans, a prefix of one, or a function
        from parameters to one. Default: leaves named ``scale``
        (:func:`nap_optax.masks.scales`).

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: if ``decay`` is concrete and negative; from ``init`` if it is concrete
        and positive but the mask selects no leaf; from ``update`` if ``params`` is
        missing. Under ``optax.inject_hyperparams``, pass ``static_args=("mask",)``.

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
    if callable(decay):
        raise ValueError(
            f"decay={decay!r}: must be a number; for a schedule, wrap decay_scales in "
            'optax.inject_hyperparams(..., static_args=("mask",))'
        )
    _checks.at_least(0, decay=decay)
    rate = _checks.concrete("decay", decay)
    scales = masks.scales if mask is None else mask

    def init_fn(params: optax.Params) -> optax.OptState:
        chosen = jax.tree.leaves(masks.resolve(scales, params))
        if rate is not None and np.any(rate > 0) and chosen and not any(chosen):
            raise ValueError(
                f"decay_scales: no leaf is a normalisation scale, so decay={decay} "
                "would do nothing; name the scales by mask, or leave it out"
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
            if update is None or not is_scale:
                return update
            dtype = jnp.result_type(update)  # which an array for a decay must not widen
            return update + jnp.asarray(decay, dtype) * jnp.asarray(param, dtype)

        chosen = masks.resolve(scales, params)
        return jax.tree.map(decayed, params, updates, chosen), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
