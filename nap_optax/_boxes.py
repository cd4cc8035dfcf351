"""The boxes in which Flax keeps a parameter together with its metadata.

Boxes, such as ``nn.Partitioned`` and ``nnx.Param``, are nodes of a tree with one leaf.
A value of another shape than the parameter must not go into its box, because the box's
sharding would not fit. Flax is used only if the caller has loaded it.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax

__all__ = [
    "axis_names",
    "is_box",
    "leaves_at",
    "mapped_as_parameters",
    "per_parameter",
    "structure",
    "unboxed",
]

# Modules that define Flax's kinds of boxes, newer and older.
_KINDS = {
    "flax.core.meta": ("AxisMetadata",),
    "flax.nnx.variablelib": ("Variable", "VariableState"),
}
# Attributes in which NNX keeps the names of a parameter's axes, newer and older.
_AXES = ("out_sharding", "sharding_names", "sharding")
_MAPPED = contextvars.ContextVar("_MAPPED", default=False)


def is_box(node: Any) -> bool:
    """Whether a node of a tree is a box of Flax's with one leaf.

    Examples:
      >>> is_box({"value": 1.0})
      False
    """
    return _is_of_flax(node) and len(jax.tree.leaves(node)) == 1


def _is_of_flax(node: Any) -> bool:
    kinds = tuple(
        getattr(sys.modules[module], name)
        for module, names in _KINDS.items()
        for name in names
        if hasattr(sys.modules.get(module), name)
    )
    return isinstance(node, kinds)


def unboxed(tree: Any) -> Any:
    """The tree with each box replaced by its content.

    Examples:
      >>> unboxed({"kernel": 1.0})
      {'kernel': 1.0}
    """
    return jax.tree.map(_content, tree, is_leaf=_is_of_flax)


def structure(params: Any) -> Any:
    """The structure of :func:`unboxed` parameters."""
    return jax.tree.structure(unboxed(params))


def per_parameter(params: Any, values: Sequence[Any]) -> Any:
    """A tree of one value for each parameter, of another shape, without boxes.

    ``optax.tree.map_params`` asks ``init`` which parts of a state are like parameters.
    This tree is not: a parameter's sharding, for instance, does not fit its norm.
    """
    if type(params).__name__ == "_ParamsPlaceholder" and not _MAPPED.get():
        return 0
    return jax.tree.unflatten(structure(params), values)


@contextlib.contextmanager
def mapped_as_parameters() -> Iterator[None]:
    """Lets ``optax.tree.map_params`` also reach trees of :func:`per_parameter`."""
    token = _MAPPED.set(True)
    try:
        yield
    finally:
        _MAPPED.reset(token)


def leaves_at(params: Any, tree: Any) -> list[Any]:
    """The values of a tree of :func:`per_parameter`, in the order of the parameters."""
    return [_content(value) for value in structure(params).flatten_up_to(tree)]


def axis_names(node: Any) -> tuple[Any, ...]:
    """Flax's name of each axis of a parameter; no names if it is in no box.

    Examples:
      >>> axis_names(1.0)
      ()
    """
    if not is_box(node):
        return ()
    metadata = node.get_metadata() if hasattr(node, "get_metadata") else {}
    found = [getattr(node, "names", None), *(metadata.get(name) for name in _AXES)]
    # Not a `jax.sharding.NamedSharding`, which older versions keep there too.
    kinds = (tuple, list, jax.sharding.PartitionSpec)
    names = next((n for n in found if isinstance(n, kinds)), ())
    return tuple(names)


def _content(node: Any) -> Any:
    if not _is_of_flax(node):
        return node
    # A box that a mask has emptied holds an `optax.MaskedNode`.
    [content] = jax.tree_util.default_registry.flatten_one_level(node)[0]
    return content
