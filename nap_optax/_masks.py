"""From a mask to the leaves that it selects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from nap_optax import _checks, _layers, _leaves, _report

__all__ = ["chosen", "matrices", "reasons", "resolve", "selected"]


def matrices(tree: Any, layer_axes: Any = None) -> Any:
    """Selects the floating-point leaves with two or more dimensions.

    It leaves out leaves named ``scale`` or ``bias``: if they have two dimensions, one
    is that of stacked layers or of the heads of an attention.

    Args:
      tree: the parameters.
      layer_axes: which axes enumerate layers and do not count as dimensions; see
        :func:`nap_optax.project_weights`.

    Returns:
      A tree of booleans.

    Raises:
      ValueError: if ``layer_axes`` does not fit, or, under
        ``optax.inject_hyperparams``, the argument is not named in ``static_args``.

    Examples:
      >>> import jax.numpy as jnp
      >>> matrices({"kernel": jnp.ones((2, 3)), "bias": jnp.ones((2, 3))})
      {'bias': False, 'kernel': True}
      >>> matrices({"kernel": jnp.ones((2, 3))}, layer_axes=0)
      {'kernel': False}
    """
    _leaves.reject_hyperparameter(tree, "matrices")
    return jax.tree.unflatten(
        jax.tree.structure(tree), _matrices(tree, _layers.of_leaves(layer_axes, tree))
    )


def _matrices(tree: Any, layer_axes: Sequence[Sequence[int]]) -> list[bool]:
    return [
        _leaves.is_matrix(path, leaf, axes)
        for path, leaf, axes in zip(
            *_leaves.named_leaves(tree), layer_axes, strict=True
        )
    ]


def resolve(mask: Any, tree: Any, *, name: str = "mask") -> Any:
    """Turns a mask in any form that optax accepts into a tree of booleans.

    Args:
      mask: a tree of booleans, a prefix of one, or a function that gives one.
      tree: the parameters.
      name: the mask's name in an error.

    Returns:
      A tree of Python booleans with the structure of ``tree``.

    Raises:
      ValueError: if the structure does not fit, a leaf is not a boolean, or the mask is
        ``False`` as a whole. (``optax.inject_hyperparams`` replaces functions by it.)

    Examples:
      >>> resolve(True, {"a": 1.0, "b": [2.0]})
      {'a': True, 'b': [True]}
    """
    if mask is False:
        raise ValueError(
            f"{name}=False: it would select nothing; under optax.inject_hyperparams, "
            f'name it in static_args=("{name}",)'
        )
    chosen = _leaves.per_leaf(mask, tree, name)
    for value in chosen:
        if not isinstance(value, bool | np.bool_):
            raise ValueError(
                f"{name}={_checks.shown(value)}: every leaf must be True or False"
            )
    return jax.tree.unflatten(jax.tree.structure(tree), map(bool, chosen))


def chosen(mask: Any, tree: Any, layer_axes: Sequence[Sequence[int]]) -> list[bool]:
    """Resolves the mask of a transformation; ``None`` selects the matrices.

    Args:
      mask: in any form that :func:`resolve` takes, or ``None``.
      tree: the parameters.
      layer_axes: the axes of each leaf that enumerate layers.

    Returns:
      A boolean for each leaf; ``False`` for leaves that are not floating-point.

    Raises:
      ValueError: as :func:`resolve`.

    Examples:
      >>> import jax.numpy as jnp
      >>> chosen(None, {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, [(), ()])
      [False, True]
    """
    if mask is not None:
        pairs = zip(
            jax.tree.leaves(resolve(mask, tree)), jax.tree.leaves(tree), strict=True
        )
        return [select and _leaves.is_floating(leaf) for select, leaf in pairs]
    return _matrices(tree, layer_axes)


def reasons(
    mask: Any, tree: Any, layer_axes: Sequence[Sequence[int]], selected: Sequence[bool]
) -> list[str]:
    """The reason why each leaf is left out; empty for selected leaves."""
    return [
        "" if select else _reason(mask, path, leaf, axes)
        for path, leaf, axes, select in zip(
            *_leaves.named_leaves(tree), layer_axes, selected, strict=True
        )
    ]


def _reason(mask: Any, path: str, leaf: Any, layer_axes: Sequence[int]) -> str:
    if not _leaves.is_floating(leaf):
        return "no: not floating point"
    if mask is not None:
        return "no: mask"
    if _leaves.has_two_dimensions(leaf, layer_axes):
        return f"no: named {path.rpartition('/')[-1]}"
    left = _leaves.ndim(leaf) - len(layer_axes)
    within = " in a layer" if layer_axes else ""
    return f"no: {left} dimension{'s' * (left != 1)}{within}"


def selected(
    mask: Any,
    tree: Any,
    name: str,
    layer_axes: Any = None,
    *,
    report: bool = True,
    may_be_vector: bool = True,
) -> tuple[list[bool], list[tuple[int, ...]]]:
    """The result of :func:`chosen` and the layer axes, with warnings, for ``init``.

    Warns if the caller's mask selects no leaf, so nothing would happen. (This is no
    error, because a mask may serve several partitions of the parameters. The default
    may select nothing.) Also warns if the default mask leaves out a leaf of two or more
    dimensions because of its name, and the caller did not give ``layer_axes``.

    Args:
      mask: in any form that :func:`resolve` takes, or ``None``.
      tree: the parameters.
      name: the transformation's name in warnings and errors.
      layer_axes: the transformation's option of that name.
      report: whether to report to :func:`nap_optax.explain`; if not, the caller does.
      may_be_vector: whether the parameters may be one array of one dimension, of which
        the default mask selects nothing.

    Returns:
      Whether each leaf is selected, and the layer axes of each leaf.

    Raises:
      ValueError: as :func:`resolve`, if ``layer_axes`` does not fit, or if the default
        mask is asked to choose from one vector.
    """
    axes = _layers.of_leaves(layer_axes, tree)
    select = chosen(mask, tree, axes)
    if report:
        _report.add(
            name, tree, lambda: [r or "yes" for r in reasons(mask, tree, axes, select)]
        )
    if mask is None and not may_be_vector:
        _reject_bare_vector(tree, name)
    if not (mask is None or mask is True) and select and not any(select):
        _checks.warn(f"{name}: the mask selects none of the leaves")
    if mask is None and layer_axes is None:
        _warn_of_names(tree, name, axes)
    return select, axes


def _reject_bare_vector(params: Any, name: str) -> None:
    # The default mask may select nothing, as in a partition of biases. But it can never
    # select from one vector, which optax.flatten makes of all leaves.
    if _leaves.ndim(params) == 1:
        raise ValueError(
            f"{name}: the parameters are one vector, as inside optax.flatten, so the "
            "default mask selects nothing; flatten what comes before it, as in "
            "nap(optax.flatten(optax.scale_by_adam()), ...), or pass mask=True to "
            "choose the vector"
        )


def _warn_of_names(tree: Any, name: str, layer_axes: Sequence[Sequence[int]]) -> None:
    paths, leaves = _leaves.named_leaves(tree)
    kernels = [
        (path.rpartition("/")[0], leaf.shape)
        for path, leaf in zip(paths, leaves, strict=True)
        if _leaves.is_matrix(path, leaf, ())
    ]
    kept = [
        f"{path!r} {leaf.shape}"
        for path, leaf, axes in zip(paths, leaves, layer_axes, strict=True)
        if _leaves.has_two_dimensions(leaf, ())
        and _leaves.is_vector(path)
        and not axes
        # Not a bias for each head of an attention: its kernel ends in its shape.
        and (path.rpartition("/")[0], leaf.shape)
        not in [(at, shape[-leaf.ndim :]) for at, shape in kernels]
    ]
    if kept:
        _checks.warn(
            f"{name}: {', '.join(kept[:3])}{' and others' if len(kept) > 3 else ''}: "
            "left out because of its name, in spite of its dimensions. If layers are "
            "stacked, say so by layer_axes, else each stack of matrices counts as one; "
            "if none are, pass layer_axes=()"
        )
