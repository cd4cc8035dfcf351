"""Which norms a projection holds: the leaves, axes and groups it was asked for."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _checks, _masks, _norms

Labels = Sequence[Hashable | None]


def measure(
    params: optax.Params,
    *,
    radius: Any,
    granularity: Any,
    mask: Any,
    groups: Any,
    name: str = "project_weights",
) -> list[Any]:
    """The norm to hold each leaf at, in the order of the leaves.

    Args:
      params: the parameters, as ``init`` sees them.
      radius: as in :func:`nap_optax.project_weights`, like the three after it.
      granularity: over which axes.
      mask: which leaves.
      groups: leaves with one norm together.
      name: of the transformation that warnings are from.

    Returns:
      Arrays of shape () for a whole leaf or a group, of the leaf's shape with 1 on the
      axes of the norm otherwise; ``optax.MaskedNode`` for leaves that are left alone.

    Raises:
      ValueError: if the options do not fit the parameters or each other.
    """
    paths, leaves = _masks.named_leaves(params)
    labels = group_labels(groups, params)
    chosen = _chosen(mask, params, labels, paths, name)
    radii = _masks.per_leaf(radius, params, "radius")
    axes = _masks.per_leaf(granularity, params, "granularity", is_leaf=_is_axes)
    targets: list[Any] = [optax.MaskedNode()] * len(leaves)
    held = [i for i, project in enumerate(chosen) if project]
    own = [
        _norm(paths[i], leaves[i], "leaf" if labels[i] is not None else axes[i])
        for i in held
    ]
    _warn_of_single_weights(
        [
            paths[i]
            for i, norm in zip(held, own, strict=True)
            if labels[i] is None and 0 < jnp.size(leaves[i]) == norm.size
        ],
        name,
    )
    for i, norm in zip(held, join(own, [labels[i] for i in held]), strict=True):
        targets[i] = _target(paths[i], norm, radii[i], name)
    _check_groups(labels, radii, leaves, paths)
    return targets


def current(target: jax.Array, radius: Any) -> jax.Array:
    """The stored norm, or the radius where that is a number.

    It may follow a schedule (``optax.inject_hyperparams``).
    """
    if isinstance(radius, str):
        return target
    # A copy: the state must not share its buffer with the caller's own array.
    return jnp.array(jnp.full_like(target, _checked_radius(radius)))


def group_labels(groups: Any, params: optax.Params) -> Labels:
    """Each leaf's label, ``None`` for leaves in no group.

    Raises:
      ValueError: if the labels do not fit the parameters or are no strings or integers.
    """
    labels = _masks.per_leaf(groups, params, "groups", is_leaf=lambda x: x is None)
    for label in labels:
        if not isinstance(label, str | int | None) or isinstance(label, bool):
            raise ValueError(
                f"groups={label!r}: every leaf must have a string or an integer as its "
                "label, or None for no group"
            )
    return labels


def join(values: Sequence[jax.Array], labels: Labels) -> list[jax.Array]:
    """Replaces the norms of the members of a group by their joint norm."""
    members: dict[Hashable, list[jax.Array]] = {}
    for norm, label in zip(values, labels, strict=True):
        members.setdefault(label, []).append(norm)
    with jax.numpy_dtype_promotion("standard"):  # members may be float32 and float64
        joint = {
            label: jnp.sqrt(sum(norm * norm for norm in group))
            for label, group in members.items()
            if label is not None
        }
    return [
        norm if label is None else joint[label].astype(norm.dtype)
        for norm, label in zip(values, labels, strict=True)
    ]


def norm_axes(
    shape: tuple[int, ...], target_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The axes over which a target of some shape was measured; ``None`` for all."""
    if not target_shape:
        return None
    return tuple(
        i for i, (n, m) in enumerate(zip(shape, target_shape, strict=True)) if n != m
    )


def _chosen(
    mask: Any, params: optax.Params, labels: Labels, paths: Sequence[str], name: str
) -> list[bool]:
    chosen = jax.tree.leaves(_masks.selected(mask, params, name))
    for i, label in enumerate(labels):
        if label is None:
            continue
        if mask is not None and not chosen[i]:
            raise ValueError(
                f"mask leaves out {paths[i]!r}, a member of the group {label!r}: take "
                "it out of the group, or let the mask select it"
            )
        chosen[i] = True
    return chosen


def _check_groups(
    labels: Labels, radii: Sequence[Any], leaves: Sequence[Any], paths: Sequence[str]
) -> None:
    first: dict[Hashable, int] = {}
    for i, label in enumerate(labels):
        if label is None:
            continue
        if not jnp.issubdtype(jnp.result_type(leaves[i]), jnp.inexact):
            raise ValueError(f"groups: {paths[i]!r} is not of a floating-point dtype")
        one, other = radii[first.setdefault(label, i)], radii[i]
        if one is not other and not _equal(one, other):
            raise ValueError(
                f"radius={other!r} for {paths[i]!r}: the members of the group "
                f"{label!r} have one norm together, and so one radius; another has "
                f"{one!r}"
            )


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, jax.core.Tracer) or isinstance(other, jax.core.Tracer):
        return True  # cannot be told
    return bool(np.asarray(one) == np.asarray(other))


def _norm(name: str, leaf: Any, granularity: Any) -> jax.Array:
    weights = _norms.widened(leaf)
    return _norms.norm(weights, _axes(name, weights.ndim, granularity))


def _target(path: str, norm: jax.Array, radius: Any, name: str) -> jax.Array:
    if not isinstance(radius, str):
        return current(norm, radius)
    if radius != "init":
        raise ValueError(f'radius={radius!r}: must be "init" or a positive number')
    if _norms.is_readable(norm) and not np.all(_norms.is_usable(norm)):
        warnings.warn(
            f"{name}: {path!r} is zero in whole or in part at init (or too "
            "small or large for a norm in float32), so there it has no norm to keep "
            "and will not be projected; pass a number as its radius to project it, or "
            "leave it out by mask",
            stacklevel=5,
        )
    # One buffer for each leaf, also in a group: a buffer can be donated only once.
    return jnp.array(norm)


def _warn_of_single_weights(paths: Sequence[str], name: str) -> None:
    if paths:
        warnings.warn(
            f"{name}: in {', '.join(map(repr, paths))} each norm is that of a "
            "single weight, which cannot change but for its sign; leave it out by "
            "mask, or choose other axes by granularity",
            stacklevel=4,
        )


def _is_axes(granularity: Any) -> bool:
    return isinstance(granularity, tuple) and all(
        isinstance(axis, int | np.integer) and not isinstance(axis, bool)
        for axis in granularity
    )


def _axes(name: str, ndim: int, granularity: Any) -> tuple[int, ...] | None:
    if granularity == "leaf":
        return None
    if granularity == "unit" and ndim >= 2:
        return tuple(range(ndim - 1))
    within = _is_axes(granularity) and all(-ndim <= a < ndim for a in granularity)
    if granularity and within:
        return tuple(sorted({int(axis) % ndim for axis in granularity}))
    raise ValueError(
        f"granularity={granularity!r} for {name!r} with {ndim} dimensions: must be "
        '"leaf", "unit" (two dimensions or more) or a tuple of its axes'
    )


def _checked_radius(radius: Any) -> Any:
    try:
        value = _checks.concrete("radius", radius)
    except ValueError:
        value = np.asarray(-1)
    if value is not None and (value.ndim or not 0 < value < np.inf):
        raise ValueError(f'radius={radius!r}: must be "init" or a positive number')
    return radius
