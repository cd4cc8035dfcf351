"""Keeps the largest singular value of each matrix near one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _boxes, _checks, _layers, _leaves, _masks, _norms, _order

__all__ = ["SpectralRegularizationState", "spectral_regularization"]


class SpectralRegularizationState(NamedTuple):
    """State of :func:`spectral_regularization`."""

    # Per selected leaf, the left singular vector so far, of norm 1 in each layer: the
    # leaf's shape without its last axis (the last within a layer), float32 at least.
    # MaskedNode elsewhere.
    singular_vector: Any


def spectral_regularization(
    strength: float | jax.Array,
    exponent: float | jax.Array = 2.0,
    *,
    mask: Any = None,
    layer_axes: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adds the gradient of a penalty on each matrix's largest singular value.

    .. math::

        u \to u + \nabla_W\, \lambda \left(\sigma(W)^k - 1\right)^2
          = u + 2 \lambda k\, (\sigma^k - 1)\, \sigma^{k-1}\, a b^\top

    for each selected leaf :math:`W`, reshaped to a matrix with the last axis as
    columns. Its largest singular value is :math:`\sigma`, with the singular vectors
    :math:`a` and :math:`b`.

    **Power iteration.** Each update does one step: :math:`b \propto W^\top a`, then
    :math:`\sigma a = W b`. The state keeps :math:`a`, so the estimate follows weights
    that move slowly. It starts from a fixed pseudo-random vector and is too small in
    the first updates. (A vector of ones would fail on a matrix with columns of zero
    mean, to which it is orthogonal.) A matrix that is zero or not finite adds nothing
    and keeps its vector. All is computed in float32 at least.

    **Where in the chain.** Before the direction (``optax.scale_by_adam``) it is part of
    the gradient, as in the paper; after the direction it is decoupled.

    **With projection.** Projection holds the Frobenius norm, the root of the sum of all
    :math:`\sigma_i^2`; this holds the largest. At a radius :math:`r` a matrix of
    :math:`n` singular values has :math:`\sigma \ge r / \sqrt{n}`. So for
    :math:`r > \sqrt{n}` the penalty cannot reach zero, and it evens out the spectrum.

    Args:
      strength: :math:`\lambda \ge 0`; may be traced.
      exponent: :math:`k \ge 1`, the paper's 2 by default; may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        that are not named ``scale`` or ``bias`` (:func:`nap_optax.masks.matrices`).
        Biases and the parameters of normalisation layers are not selected. To pull them
        to their initial values, by default zero and one, use ``l2_init`` with
        ``mask=masks.complement(masks.matrices)``.
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`. Each layer counts as a leaf.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: if ``strength`` is not a finite number of 0 or more or ``exponent``
        is not a number from 1 to 100; from ``init`` if the mask selects a leaf of fewer
        than two dimensions; in ``update`` if ``params`` is missing. Under
        ``optax.inject_hyperparams``, pass ``static_args=("mask", "layer_axes")``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import spectral_regularization
      >>> params, zeros = jnp.diag(jnp.array([2.0, 0.5])), jnp.zeros((2, 2))
      >>> tx = spectral_regularization(0.1)
      >>> state = tx.init(params)
      >>> for _ in range(10):
      ...     updates, state = tx.update(zeros, state, params)
      >>> print(f"{updates[0, 0]:.2f}")  # 2 * 0.1 * 2 * (2**2 - 1) * 2
      2.40

    References:
      Lewandowski et al., `Learning Continually by Spectral Regularization
      <https://arxiv.org/abs/2406.06811>`_, 2025
    """
    _checks.finite("strength", strength, 0)
    # Higher powers leave float32's range unless the singular value is close to one.
    _checks.scalar(
        "exponent",
        exponent,
        "a number of 1 or more, at most 100",
        lambda k: 1 <= k <= 100,
    )

    @_leaves.works_on_shapes
    def init_fn(params: optax.Params) -> SpectralRegularizationState:
        name = "spectral_regularization"
        chosen, stacks = _masks.selected(mask, params, name, layer_axes)
        _layers.check_update_sees(layer_axes, params, name)
        vectors = [
            _starting_vector(path, leaf, stacked) if select else optax.MaskedNode()
            for path, leaf, select, stacked in zip(
                *_leaves.named_leaves(params), chosen, stacks, strict=True
            )
        ]
        return SpectralRegularizationState(_boxes.per_parameter(params, vectors))

    def update_fn(
        updates: optax.Updates,
        state: SpectralRegularizationState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SpectralRegularizationState]:
        del extra_args
        _checks.has_params("spectral_regularization", params)
        treedef: Any = jax.tree.structure(params)
        new = _leaves.updates_of(updates, params, "spectral_regularization")
        vectors = _boxes.leaves_at(params, state.singular_vector)
        held = [
            i
            for i, (update, vector) in enumerate(zip(new, vectors, strict=True))
            if update is not None and not isinstance(vector, optax.MaskedNode)
        ]
        if not held:
            return updates, state
        leaves = jax.tree.leaves(params)
        stacks = _layers.of_leaves(layer_axes, params)
        gradients, lefts = _penalty_gradients(
            [jnp.asarray(leaves[i], vectors[i].dtype) for i in held],
            [vectors[i] for i in held],
            [_own_axes(leaves[i], stacks[i]) for i in held],
            exponent,
        )
        for i, gradient, left in zip(held, gradients, lefts, strict=True):
            new[i], vectors[i] = _added(new[i], gradient, strength), left
        return jax.tree.unflatten(treedef, new), SpectralRegularizationState(
            _boxes.per_parameter(params, vectors)
        )

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _own_axes(leaf: Any, stacked: tuple[int, ...]) -> tuple[int, ...]:
    """The axes within a layer; the last one holds the columns."""
    axes = _layers.axes_within(jnp.ndim(leaf), stacked)
    return tuple(range(jnp.ndim(leaf))) if axes is None else axes


def _starting_vector(path: str, leaf: Any, stacked: tuple[int, ...]) -> jax.Array:
    axes = _own_axes(leaf, stacked)
    if len(axes) < 2:
        raise ValueError(
            f"spectral_regularization: {path!r} has fewer than two dimensions, so no "
            "singular values; leave it out by mask"
        )
    rows = jnp.sum(_norms.widened(leaf), axis=axes[-1], keepdims=True)
    shape = [n if axis in axes else 1 for axis, n in enumerate(rows.shape)]
    key = jax.random.key(0, impl="threefry2x32")  # whatever the caller's default
    draw = jax.random.normal(key, shape, rows.dtype)  # the same for each layer
    [unit], _ = _units([draw + jnp.zeros_like(rows)], [axes])  # sharded as the rows are
    return jnp.squeeze(unit, axes[-1])


def _penalty_gradients(
    weights: Sequence[jax.Array],
    lefts: Sequence[jax.Array],
    axes: Sequence[tuple[int, ...]],
    exponent: Any,
) -> tuple[list[jax.Array], list[jax.Array]]:
    """The gradients of (sigma^k - 1)^2, and the next left singular vectors.

    They are sums of products, without ``reshape`` or ``matmul``. So leaves may be
    sharded in any way, and accelerators do not round float32.
    """
    before = [jnp.expand_dims(a, at[-1]) for a, at in zip(lefts, axes, strict=True)]
    rights, _ = _units(
        [
            jnp.sum(jnp.conj(w) * a, at[:-1], keepdims=True)
            for w, a, at in zip(weights, before, axes, strict=True)
        ],
        axes,
    )
    directions, sigmas = _units(
        [
            jnp.sum(w * b, at[-1], keepdims=True)
            for w, b, at in zip(weights, rights, axes, strict=True)
        ],
        axes,
    )
    gradients, after = [], []
    for a, b, old, sigma, at in zip(
        directions, rights, before, sigmas, axes, strict=True
    ):
        found = _norms.is_usable(sigma)
        slope = _slope(sigma, found, exponent).astype(a.dtype)
        gradients.append(slope * a * jnp.conj(b))
        after.append(jnp.squeeze(jnp.where(found, a, old), at[-1]))
    return gradients, after


def _slope(sigma: jax.Array, found: jax.Array, exponent: Any) -> jax.Array:
    """The derivative of the penalty with respect to the singular value."""
    power = jnp.asarray(exponent, sigma.dtype)
    positive = jnp.where(found, sigma, 1)  # a power of zero has no finite derivative
    slope = 2 * power * (positive**power - 1) * positive ** (power - 1)
    return jnp.where(found, slope, 0)


def _units(
    vectors: Sequence[jax.Array], axes: Sequence[tuple[int, ...]]
) -> tuple[list[jax.Array], list[jax.Array]]:
    """The vectors at norm 1 (zero without a norm to divide by), and their norms."""
    sizes = _order.together(
        [_norms.norm(vector, at) for vector, at in zip(vectors, axes, strict=True)]
    )
    units = []
    for vector, size in zip(vectors, sizes, strict=True):
        usable = _norms.is_usable(size)
        divisor = jnp.where(usable, size, 1).astype(vector.dtype)
        units.append(jnp.where(usable, vector / divisor, 0))
    return units, sizes


def _added(update: jax.Array, gradient: jax.Array, strength: Any) -> jax.Array:
    dtype = _norms.norm_dtype(update)
    added = jnp.asarray(strength, dtype) * gradient.astype(dtype)
    return (jnp.asarray(update, dtype) + added).astype(jnp.result_type(update))
