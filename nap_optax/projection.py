"""Keeps weight norms fixed by projecting after each update (Normalize-and-Project)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import masks, norms

__all__ = ["ProjectWeightsState", "project_weights"]


class ProjectWeightsState(NamedTuple):
    """State of :func:`project_weights`."""

    projection_step: jax.Array  # shape=(), dtype=int32: updates seen so far
    # Per projected leaf, the norm it is held at: shape=() for "leaf", else the leaf's
    # shape with 1 on the axes of the norm; float32 at least. MaskedNode elsewhere.
    target_norm: Any


def project_weights(
    radius: Any = "init",
    *,
    granularity: Any = "leaf",
    mask: Any = None,
    every: int = 1,
) -> optax.GradientTransformationExtraArgs:
    r"""Projects weights back to a fixed norm after each update.

    For each selected leaf :math:`W` and update :math:`u`, emits the update that takes
    :math:`W` to

    .. math::

        W + u \;\to\; \frac{r}{\lVert W + u \rVert} (W + u), \qquad
        r = \lVert W_0 \rVert_F \text{ by default.}

    With the norm fixed, the effective learning rate (update norm over parameter norm)
    is what the learning-rate schedule says.

    .. warning::
        Must be the last transformation that changes updates: whatever rescales them
        afterwards takes the weights off the sphere.

    **Which norm.** The radius is measured once, by ``init``, and never again, so
    nothing drifts. It is the norm of the parameters that ``init`` saw: after loading
    pretrained weights or resetting layers, call ``init`` on the new parameters to
    hold *their* norm; otherwise the next update returns them to the old one. Norms are
    computed in float32 at least, whatever the parameters' dtype, and updates keep
    theirs.

    **Zero leaves.** A leaf (or unit) that is zero at ``init`` has no radius to keep:
    with ``radius="init"`` it is never projected and trains freely, and ``init`` warns
    (where it runs outside ``jit``). Give a number as its radius to project it. A norm
    that is zero or not finite leaves the update as it is (to the rounding of
    :math:`W + u`), so NaN and infinity reach ``optax.apply_if_finite`` where they are
    and never enter this state.

    **Every k-th step.** With ``every=k > 1`` the weights are restored at the *start* of
    updates 0, k, 2k, …: that update is added to the restored weights, and in between
    the norm moves freely. Gradients of that step were taken before the restoration.
    (Deciding from the incoming weights alone costs one reduction per k steps; deciding
    from the updates would force all of them through memory at every step.)
    With ``every=1`` the weights are on the sphere after each update.

    Args:
      radius: ``"init"``, a positive number, or a tree of them (or a prefix of the
        parameters' tree). Numbers may be traced.
      granularity: over which axes a norm is taken: ``"leaf"`` (all), ``"unit"`` (all
        but the last, so one norm for each output unit in Flax's layout), a tuple of
        axes (``(1, 2)`` for a stack of matrices, ``(-1,)`` for the rows of an
        embedding), or a tree of these (or a prefix), or a function from parameters to
        such a tree, as :func:`nap_optax.masks.by_path` gives.
      mask: which leaves to project: a tree of booleans, a prefix of one, or a function
        from the parameters to one. Default: floating-point leaves with two or more
        dimensions (:func:`nap_optax.masks.matrices`).
      every: project at every k-th update. Static.

    Returns:
      A transformation whose ``update`` needs ``params``. Its state holds one scalar for
      each projected leaf (or unit).

    Raises:
      ValueError: if an argument is out of range or does not fit the parameters; in
        ``update`` if ``params`` is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("granularity", "mask", "every")``.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import project_weights
      >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.ones(2)}
      >>> tx = optax.chain(optax.sgd(0.1), project_weights())
      >>> state = tx.init(params)
      >>> updates, state = tx.update(params, state, params)
      >>> new_params = optax.apply_updates(params, updates)
      >>> print(f"{jnp.linalg.norm(new_params['w']):.4f}")
      5.0000

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, equation 2

      Lyle et al., `Normalization and effective learning rates in reinforcement
      learning <https://arxiv.org/abs/2407.01800>`_, 2024
    """
    _check_every(every)

    def init_fn(params: optax.Params) -> ProjectWeightsState:
        leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
        chosen = masks.resolve(masks.matrices if mask is None else mask, params)
        options = zip(
            leaves,
            jax.tree.leaves(chosen),
            masks.per_leaf(radius, params, "radius"),
            masks.per_leaf(granularity, params, "granularity", is_leaf=_is_axes),
            strict=True,
        )
        targets = [
            _target(masks.path_name(path), leaf, leaf_radius, axes)
            if project
            else optax.MaskedNode()
            for (path, leaf), project, leaf_radius, axes in options
        ]
        return ProjectWeightsState(
            projection_step=jnp.zeros([], jnp.int32),
            target_norm=jax.tree.unflatten(treedef, targets),
        )

    def update_fn(
        updates: optax.Updates,
        state: ProjectWeightsState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ProjectWeightsState]:
        del extra_args
        if params is None:
            raise ValueError(
                "project_weights needs the parameters: call update(updates, state, "
                "params)"
            )
        treedef: Any = jax.tree.structure(params)
        leaves = jax.tree.leaves(params)
        new = treedef.flatten_up_to(updates)
        targets = treedef.flatten_up_to(state.target_norm)
        radii = masks.per_leaf(radius, params, "radius")
        # What init left out stays out: the state remembers the mask.
        held = [
            i
            for i, (target, update) in enumerate(zip(targets, new, strict=True))
            if not isinstance(target, optax.MaskedNode) and update is not None
        ]
        for i in held:
            targets[i] = _current(targets[i], radii[i])
        if every == 1:
            for i in held:
                new[i] = _projected_update(leaves[i], new[i], targets[i])
        else:
            due = state.projection_step % every == 0
            excess = _excess(due, [leaves[i] for i in held], [targets[i] for i in held])
            for i, factor in zip(held, excess, strict=True):
                new[i] = _restored_update(leaves[i], new[i], factor)
        return jax.tree.unflatten(treedef, new), ProjectWeightsState(
            projection_step=optax.safe_increment(state.projection_step),
            target_norm=jax.tree.unflatten(treedef, targets),
        )

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _projected_update(param: Any, update: Any, target: jax.Array) -> jax.Array:
    dtype = norms.norm_dtype(param)
    old = jnp.asarray(param, dtype)
    new = old + jnp.asarray(update, dtype)
    factor = _factor(new, target).astype(dtype)
    return (new * factor - old).astype(jnp.result_type(update))


def _restored_update(param: Any, update: Any, excess: jax.Array) -> jax.Array:
    dtype = norms.norm_dtype(param)
    excess = excess.astype(dtype)
    restored = jnp.asarray(param, dtype) * excess + jnp.asarray(update, dtype)
    return restored.astype(jnp.result_type(update))


def _excess(
    due: jax.Array, params: Sequence[Any], targets: Sequence[jax.Array]
) -> list[jax.Array]:
    """What to multiply each leaf by and add to it, to restore its norm when `due`."""

    def measure() -> list[jax.Array]:
        return [
            _factor(jnp.asarray(param, norms.norm_dtype(param)), target) - 1
            for param, target in zip(params, targets, strict=True)
        ]

    shapes = jax.eval_shape(measure)
    return jax.lax.cond(due, measure, lambda: optax.tree.zeros_like(shapes))


def _factor(weights: jax.Array, target: jax.Array) -> jax.Array:
    norm = norms.norm(weights, _norm_axes(weights.shape, target.shape))
    usable = (norm > 0) & jnp.isfinite(norm) & (target > 0) & jnp.isfinite(target)
    return jnp.where(usable, target / jnp.where(usable, norm, 1), 1)


def _target(name: str, leaf: Any, radius: Any, granularity: Any) -> jax.Array:
    """The norm a leaf is held at, of the shape that says over which axes."""
    weights = jnp.asarray(leaf, norms.norm_dtype(leaf))
    norm = norms.norm(weights, _axes(name, weights.ndim, granularity))
    if not isinstance(radius, str):
        return _filled(norm, radius)
    if radius != "init":
        raise ValueError(f'radius={radius!r}: must be "init" or a positive number')
    if norms.is_readable(norm) and not np.all((norm > 0) & (norm < np.inf)):
        warnings.warn(
            f"project_weights: {name!r} is zero in whole or in part at init (or too "
            "small or large for a norm in float32), so there it has no norm to keep "
            "and will not be projected; pass a number as its radius to project it, or "
            "leave it out by mask",
            stacklevel=4,
        )
    return norm


def _current(target: jax.Array, radius: Any) -> jax.Array:
    # A radius given as a number may follow a schedule (optax.inject_hyperparams).
    if isinstance(radius, str):
        return target
    return _filled(target, radius)


def _filled(like: jax.Array, radius: Any) -> jax.Array:
    # A copy: the state must not share its buffer with the caller's own array.
    return jnp.array(jnp.full_like(like, _checked_radius(radius)))


def _norm_axes(
    shape: tuple[int, ...], target_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    if not target_shape:
        return None
    return tuple(
        i for i, (n, m) in enumerate(zip(shape, target_shape, strict=True)) if n != m
    )


def _is_axes(granularity: Any) -> bool:
    return isinstance(granularity, tuple) and all(
        isinstance(axis, int) for axis in granularity
    )


def _axes(name: str, ndim: int, granularity: Any) -> tuple[int, ...] | None:
    if granularity == "leaf":
        return None
    if granularity == "unit" and ndim >= 2:
        return tuple(range(ndim - 1))
    within = _is_axes(granularity) and all(-ndim <= a < ndim for a in granularity)
    if granularity and within:
        return tuple(sorted({axis % ndim for axis in granularity}))
    raise ValueError(
        f"granularity={granularity!r} for {name!r} with {ndim} dimensions: must be "
        '"leaf", "unit" (two dimensions or more) or a tuple of its axes'
    )


def _checked_radius(radius: Any) -> Any:
    if isinstance(radius, jax.core.Tracer):
        return radius
    value = np.asarray(radius)
    real = value.dtype.kind in "iuf" or jnp.issubdtype(value.dtype, jnp.floating)
    if value.ndim or not real or not 0 < value < np.inf:
        raise ValueError(f'radius={radius!r}: must be "init" or a positive number')
    return radius


def _check_every(every: Any) -> None:
    if not isinstance(every, int) or isinstance(every, bool):
        raise ValueError(
            f"every={every!r}: must be a Python int; under optax.inject_hyperparams, "
            'name it in static_args=("every",)'
        )
    if every < 1:
        raise ValueError(f"every={every}: must be 1 or more")
