"""Holds effective learning rates without projecting weights."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, masks, norms

__all__ = ["HoldElrState", "hold_elr"]


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
        chosen = masks.selected(mask, params, "hold_elr")
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
            growth = norms.ratio(norms.leaf_norm(param), reference)
            return norms.scaled(update, growth ** jnp.asarray(power, growth.dtype))

        return jax.tree.map(hold, params, updates, state.reference_norm), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _reference(leaf: Any, selected: bool) -> Any:
    return norms.leaf_norm(leaf) if selected else optax.MaskedNode()


def _warn_of_zeros(held: Any) -> None:
    zeros = [
        path
        for path, norm in zip(*masks.named_leaves(held), strict=True)
        if norms.is_readable(norm) and not norms.is_usable(norm)
    ]
    if zeros:
        warnings.warn(
            f"hold_elr: {', '.join(map(repr, zeros))}: zero at init (or too small or "
            "large for a norm in float32), so updates stay as they are; leave it out "
            "by mask",
            stacklevel=3,
        )
