"""The norms that a projection holds, from its options for leaves, axes and groups."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _checks, _layers, _leaves, _masks, _norms, _report

Labels = Sequence[Hashable | None]


def measure(
    params: optax.Params,
    *,
    radius: Any,
    granularity: Any,
    mask: Any,
    groups: Any,
    layer_axes: Any,
    name: str,
) -> list[Any]:
    """The norm to hold each leaf at, in the order of the leaves.

    Args:
      params: the parameters, as ``init`` sees them.
      radius: as in :func:`nap_optax.project_weights`, like the next four arguments.
      granularity: the axes of a norm.
      mask: the leaves to project.
      groups: leaves with one norm together.
      layer_axes: the axes that enumerate layers.
      name: the transformation's name in warnings.

    Returns:
      An array for each leaf: of shape () for a whole leaf or a group, or, for several
      norms, of the leaf's shape with 1 on their axes. ``optax.MaskedNode`` for leaves
      that are not projected.

    Raises:
      ValueError: if the options do not fit the parameters or each other.
    """
    paths, leaves = _leaves.named_leaves(params)
    labels = group_labels(groups, params)
    chosen, stacked = _masks.selected(
        mask, params, name, layer_axes, report=False, may_be_vector=groups is not None
    )
    chosen = _with_groups(chosen, mask, labels, paths)
    radii = _leaves.per_leaf(radius, params, "radius")
    axes = _leaves.per_leaf(granularity, params, "granularity", is_leaf=_layers.is_axes)
    targets: list[Any] = [optax.MaskedNode()] * len(leaves)
    held = [i for i, project in enumerate(chosen) if project]
    own = [
        _norm(
            paths[i],
            leaves[i],
            "leaf" if labels[i] is not None else axes[i],
            stacked[i],
        )
        for i in held
    ]
    _check_groups(labels, radii, leaves, paths, dict(zip(held, own, strict=True)))
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
    _report.add(
        name,
        params,
        lambda: _explained(
            _masks.reasons(mask, params, stacked, chosen), targets, labels
        ),
    )
    return targets


def _explained(
    reasons: Sequence[str], targets: Sequence[Any], labels: Labels
) -> list[str]:
    """The text for each leaf in :func:`nap_optax.explain`."""
    return [
        reason or _explained_target(target, label)
        for reason, target, label in zip(reasons, targets, labels, strict=True)
    ]


def _explained_target(target: jax.Array, label: Hashable | None) -> str:
    if not _norms.is_readable(target):
        return "norm of init" if label is None else f"norm of init, group {label!r}"
    norms = np.ravel(target)
    usable = norms[np.ravel(_norms.is_usable(target))]
    if not usable.size:
        return "free: not finite" if np.any(norms) else "free: zero"
    text = f"norm {usable.min():.4g}"
    if norms.size > 1:
        text = f"{norms.size} norms, {usable.min():.4g} to {usable.max():.4g}"
    if usable.size < norms.size:
        text += f", {norms.size - usable.size} free"
    return text if label is None else f"{text}, group {label!r}"


def current(target: jax.Array, radius: Any) -> jax.Array:
    """The stored norm, or the radius if that is a number.

    The radius may follow a schedule (``optax.inject_hyperparams``).
    """
    if isinstance(radius, str):
        return target
    # A copy: the state must not share its buffer with the caller's own array.
    return jnp.array(jnp.full_like(target, _checked_radius(radius)))


def group_labels(groups: Any, params: optax.Params) -> Labels:
    """Each leaf's label, ``None`` for leaves in no group.

    Raises:
      ValueError: if the labels do not fit the parameters, or are no strings or
        integers.
    """
    labels = _leaves.per_leaf(groups, params, "groups", is_leaf=lambda x: x is None)
    for label in labels:
        if not isinstance(label, str | int | None) or isinstance(label, bool):
            raise ValueError(
                f"groups={_checks.shown(label)}: every leaf must have a string or an "
                "integer as its "
                "label, or None for no group"
            )
    return labels


def join(values: Sequence[jax.Array], labels: Labels) -> list[jax.Array]:
    """Replaces the norms of the members of a group by their joint norm.

    In stacked layers, each layer has a joint norm.
    """
    members: dict[Hashable, list[jax.Array]] = {}
    for norm, label in zip(values, labels, strict=True):
        if label is not None:
            members.setdefault(label, []).append(norm.reshape(_layer_shape(norm)))
    with jax.numpy_dtype_promotion("standard"):  # members may be float32 and float64
        joint = {
            label: _norms.root(functools.reduce(jnp.add, [n * n for n in group]))
            for label, group in members.items()
        }
    return [
        norm if label is None else joint[label].astype(norm.dtype).reshape(norm.shape)
        for norm, label in zip(values, labels, strict=True)
    ]


def _layer_shape(norm: jax.Array) -> tuple[int, ...]:
    """The shape of one number per layer; of one number for leaves without layers."""
    return (norm.size,) if norm.ndim else ()


def _with_groups(
    selected: Sequence[bool], mask: Any, labels: Labels, paths: Sequence[str]
) -> list[bool]:
    chosen = list(selected)
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
    labels: Labels,
    radii: Sequence[Any],
    leaves: Sequence[Any],
    paths: Sequence[str],
    norms: Mapping[int, jax.Array],
) -> None:
    first: dict[Hashable, int] = {}
    for i, label in enumerate(labels):
        if label is None:
            continue
        if not _leaves.is_floating(leaves[i]):
            raise ValueError(
                f"groups: {paths[i]!r} is not of a floating-point dtype: "
                "remove it from the group"
            )
        head = first.setdefault(label, i)
        if _layer_shape(norms[head]) != _layer_shape(norms[i]):
            raise ValueError(
                f"groups: {paths[head]!r} and {paths[i]!r} of the group {label!r} are "
                "not stacks of as many layers; give them groups of their own, or "
                "correct layer_axes"
            )
        one, other = radii[head], radii[i]
        if one is not other and not _equal(one, other):
            raise ValueError(
                f"radius={other!r} for {paths[i]!r}: the members of the group "
                f"{label!r} have one norm together, so they need one radius; another "
                f"has {one!r}"
            )


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, jax.core.Tracer) or isinstance(other, jax.core.Tracer):
        return True  # traced numbers cannot be compared
    return np.array_equal(one, other)


def _norm(
    name: str, leaf: Any, granularity: Any, layer_axes: tuple[int, ...]
) -> jax.Array:
    weights = _norms.widened(leaf)
    return _norms.norm(weights, _axes(name, weights.ndim, granularity, layer_axes))


def _target(path: str, norm: jax.Array, radius: Any, name: str) -> jax.Array:
    if not isinstance(radius, str):
        return current(norm, radius)
    if radius != "init":
        _checked_radius(radius)
    if _norms.is_readable(norm) and not np.all(_norms.is_usable(norm)):
        _checks.warn(
            f"{name}: {path!r} is zero in whole or in part at init (or too "
            "small or large for a norm in float32), so there it has no norm to keep "
            "and will not be projected; pass a number as its radius to project it, or "
            "leave it out by mask"
        )
    # Each leaf gets its own buffer, also in a group: a buffer can be donated only once.
    return jnp.array(norm)


def _warn_of_single_weights(paths: Sequence[str], name: str) -> None:
    if paths:
        _checks.warn(
            f"{name}: in {', '.join(map(repr, paths))} each norm is that of a "
            "single weight, which cannot change but for its sign; leave it out by "
            "mask, or choose other axes by granularity"
        )


def _axes(
    name: str, ndim: int, granularity: Any, layer_axes: tuple[int, ...]
) -> tuple[int, ...] | None:
    own = _layers.axes_within(ndim, layer_axes)
    if isinstance(granularity, str) and granularity == "leaf":
        return own
    own = tuple(range(ndim)) if own is None else own
    if isinstance(granularity, str) and granularity == "unit" and len(own) >= 2:
        return own[:-1]
    if (
        _layers.is_axes(granularity)
        and granularity
        and all(-ndim <= axis < ndim for axis in granularity)
        and {axis % ndim for axis in granularity} <= set(own)
    ):
        return tuple(sorted({int(axis) % ndim for axis in granularity}))
    if layer_axes:
        raise ValueError(
            f"granularity={_checks.shown(granularity)} for {name!r} with {ndim} "
            "dimensions, of "
            f'which {layer_axes} enumerate layers: must be "leaf", "unit" (two others '
            "or more) or a tuple of the others"
        )
    raise ValueError(
        f"granularity={_checks.shown(granularity)} for {name!r} with {ndim} "
        "dimensions: must be "
        '"leaf", "unit" (two dimensions or more) or a tuple of its axes'
    )


def _checked_radius(radius: Any) -> Any:
    _checks.positive("radius", radius, besides='"init" or ')
    return radius
