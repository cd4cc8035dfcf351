"""The axes of a leaf that enumerate layers, if layers are stacked into one leaf.

``nn.scan``, ``nnx.scan`` and ``nnx.vmap`` stack the parameters of equal layers. Each
layer then counts as if it had a leaf of its own: its dimensions, norm and fan-in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from nap_optax import _boxes, _checks, _leaves

__all__ = [
    "axes_within",
    "check_update_sees",
    "is_axes",
    "known_names",
    "named",
    "of_leaves",
]

NAMES = ("layers",)  # the name of that axis in Flax's documentation


def of_leaves(option: Any, params: Any) -> list[tuple[int, ...]]:
    """Lists the axes of each leaf that enumerate layers.

    Args:
      option: the argument ``layer_axes`` of a transformation.
      params: the parameters.

    Returns:
      The axes of each leaf, sorted and not negative.

    Raises:
      ValueError: if the option does not fit the parameters.

    Examples:
      >>> import jax.numpy as jnp
      >>> of_leaves({"a": -3, "b": ()}, {"a": jnp.ones((3, 2, 2)), "b": jnp.ones(2)})
      [(0,), ()]
    """
    if option is None:
        option = named(NAMES, params)
    values = _leaves.per_leaf(option, params, "layer_axes", is_leaf=is_axes)
    paths, leaves = _leaves.named_leaves(params)
    return [
        _checked(path, _leaves.ndim(leaf), value)
        for path, leaf, value in zip(paths, leaves, values, strict=True)
    ]


def named(names: Sequence[str], params: Any) -> Any:
    """The axes of each parameter that Flax knows by one of some names."""
    nodes = jax.tree.leaves(params, is_leaf=_boxes.is_box)
    return _boxes.per_parameter(
        params,
        [
            tuple(i for i, at in enumerate(_boxes.axis_names(node)) if at in names)
            for node in nodes
        ],
    )


def known_names(params: Any) -> set[str]:
    """All names of axes that Flax has for some parameters."""
    nodes = jax.tree.leaves(params, is_leaf=_boxes.is_box)
    return {at for node in nodes for at in _boxes.axis_names(node) if at is not None}


def axes_within(ndim: int, layer_axes: Sequence[int]) -> tuple[int, ...] | None:
    """The axes within one layer of a leaf, or ``None`` (all) if none are stacked.

    Examples:
      >>> axes_within(3, (0,)), axes_within(2, ())
      ((1, 2), None)
    """
    if not layer_axes:
        return None
    return tuple(axis for axis in range(ndim) if axis not in layer_axes)


def check_update_sees(option: Any, params: Any, name: str) -> None:
    """Refuses layer axes that ``init`` reads from Flax's boxes and ``update`` cannot.

    ``nnx.Optimizer`` takes parameters out of their boxes for ``update``. If a
    transformation's state does not keep the axes, the caller has to give them.

    Raises:
      ValueError: if there are such axes.
    """
    found = of_leaves(option, params)
    with _leaves.part_of_a_tree():  # rules and names may find nothing
        bare = of_leaves(option, _boxes.unboxed(params))
    if found == bare:
        return
    nodes = jax.tree.leaves(params, is_leaf=_boxes.is_box)
    for path, node, one, other in zip(
        _leaves.named_leaves(params)[0], nodes, found, bare, strict=True
    ):
        if one != other and hasattr(node, "get_metadata"):  # of NNX
            raise ValueError(
                f"{name}: Flax says that {path!r} is a stack of layers, but "
                "nnx.Optimizer does not pass that on to update: call the function, by "
                'default masks.axes_named("layers"), on nnx.state(model, nnx.Param), '
                "and pass the tree that it returns as layer_axes"
            )


def is_axes(value: Any) -> bool:
    """Whether a value is a tuple of integers: one option's value, not a tree."""
    return isinstance(value, tuple) and all(map(_is_axis, value))


def _is_axis(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _checked(path: str, ndim: int, value: Any) -> tuple[int, ...]:
    axes = (value,) if _is_axis(value) else value
    if not is_axes(axes) or not all(-ndim <= axis < ndim for axis in axes):
        raise ValueError(
            f"layer_axes={_checks.shown(value)} for {path!r} with {ndim} dimensions: "
            "must be one of "
            "its axes or a tuple of them, () for none; under optax.inject_hyperparams, "
            'name it in static_args=("layer_axes",)'
        )
    return tuple(sorted({int(axis) % ndim for axis in axes}))
