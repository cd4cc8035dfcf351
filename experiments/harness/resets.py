"""Resets of some of a network's leaves, with the optimizer's memory of them."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import nap_optax

Mask = Callable[[Any], Any]


def replace(params: Any, fresh_params: Any, mask: Mask) -> Any:
    """`params`, with the leaves of a mask from `fresh_params`."""
    return jax.tree.map(
        lambda is_reset, fresh, old: fresh if is_reset else old,
        mask(params),
        fresh_params,
        params,
    )


def at_norms_of(params: Any, fresh_params: Any, mask: Mask) -> Any:
    """`fresh_params`, whose leaves of a mask have the Frobenius norms of `params`."""

    def scaled(is_held: bool, fresh: jax.Array, old: jax.Array) -> jax.Array:
        return fresh * (_norm(old) / _norm(fresh)) if is_held else fresh

    return jax.tree.map(scaled, mask(params), fresh_params, params)


def restart(
    inner: optax.GradientTransformation, num_updates: int, mask: Mask
) -> optax.GradientTransformationExtraArgs:
    """`inner`, which begins again for the leaves of a mask.

    Adam's count begins again as well. With `nap_optax.reset_leaves` it would go on,
    because all leaves share it; zero moments and an old count make a leaf's first
    updates too large, late in training three to six times where gradients are steady.

    Args:
      inner: the transformation, such as Adam.
      num_updates: it begins again after so many, again and again, and also whenever
        `update` gets `rewarm=True`.
      mask: from the parameters to a tree of booleans: which leaves.
    """

    def others(params: Any) -> Any:
        return jax.tree.map(operator.not_, mask(params))

    restarted = nap_optax.restart(inner, nap_optax.every(num_updates))
    return optax.chain(optax.masked(restarted, mask), optax.masked(inner, others))


def _norm(leaf: jax.Array) -> jax.Array:
    return jnp.linalg.norm(leaf.ravel())
