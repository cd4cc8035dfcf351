"""The leaves of a tree: their names and kinds, and an option's value for each."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from optax import MaskedNode

from nap_optax import _boxes, _checks

__all__ = [
    "has_two_dimensions",
    "is_floating",
    "is_matrix",
    "is_part",
    "is_vector",
    "named_leaves",
    "ndim",
    "need_values",
    "new_updates",
    "part_of_a_tree",
    "path_name",
    "per_leaf",
    "reject_hyperparameter",
    "updates_of",
    "works_on_shapes",
]


def path_name(path: Sequence[Hashable]) -> str:
    """Spells a key path as ``"layer_0/dense/kernel"``.

    Linen's outermost ``params`` is left out, so one pattern serves Linen, NNX and plain
    trees. For the paths of a whole tree see :func:`nap_optax.masks.paths`, which leaves
    out the boxes of Flax, too.

    Args:
      path: a key path from ``jax.tree_util.tree_flatten_with_path``.

    Returns:
      The components joined by ``/``; the empty string for a bare array.

    Raises:
      ValueError: if ``path`` is no sequence of keys.

    Examples:
      >>> import jax
      >>> params = {"params": {"dense": {"kernel": 1.0}}}
      >>> [(path, _)] = jax.tree_util.tree_flatten_with_path(params)[0]
      >>> path_name(path)
      'dense/kernel'
    """
    if not isinstance(path, Sequence):
        raise ValueError(f"path={_checks.shown(path)}: must be a sequence of keys")
    entries = list(path)
    if len(entries) > 1 and entries[0] == jax.tree_util.DictKey("params"):
        entries = entries[1:]
    return jax.tree_util.keystr(tuple(entries), simple=True, separator="/")


def named_leaves(tree: Any) -> tuple[list[str], list[Any]]:
    """Lists each leaf's :func:`path_name` (that of its box, if in one), and the leaves.

    Examples:
      >>> named_leaves({"dense": {"kernel": 1.0, "bias": 2.0}})
      (['dense/bias', 'dense/kernel'], [2.0, 1.0])
    """
    leaves = jax.tree_util.tree_flatten_with_path(_boxes.unboxed(tree))[0]
    return [path_name(path) for path, _ in leaves], [leaf for _, leaf in leaves]


def per_leaf(
    option: Any,
    tree: Any,
    name: str,
    *,
    is_leaf: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """Lists an option's value for each leaf of a tree.

    Args:
      option: one value for all leaves, a tree of values or a prefix of one, or a
        function from the tree to any of these.
      tree: the parameters.
      name: the option's name in an error.
      is_leaf: whether an object is a value although it is a tree, as tuples of axes
        are.

    Returns:
      The values in the order of the leaves of ``tree``.

    Raises:
      ValueError: if the structures do not fit.

    Examples:
      >>> per_leaf({"a": 1, "b": 2}, {"a": 0.0, "b": [0.0, 0.0]}, "radius")
      [1, 2, 2]
    """
    if not jax.tree.leaves(tree):
        # optax.tree.map_params calls init on a placeholder without leaves.
        return []
    if callable(option) and not _is_tree(option):
        _checks.takes_one(name, option, "the parameters")
        option = option(tree)
    leaves = jax.tree.leaves(option, is_leaf=is_leaf)
    treedef: Any = jax.tree.structure(option, is_leaf=is_leaf)
    try:
        subtrees = _up_to(treedef, tree)
    except ValueError as error:
        raise ValueError(
            f"{name} does not fit the parameters: it has the structure "
            f"{_checks.shown(treedef)}, they have "
            f"{_checks.shown(jax.tree.structure(tree))}"
        ) from error
    return [
        value
        for value, subtree in zip(leaves, subtrees, strict=True)
        for _ in jax.tree.leaves(subtree)
    ]


def updates_of(updates: Any, params: Any, name: str) -> list[Any]:
    """Lists the update of each leaf of the parameters, after a check of its shape.

    Args:
      updates: a tree like the parameters; ``None`` where a leaf has no update.
      params: the parameters.
      name: the transformation's name in errors.

    Returns:
      The updates in the order of the leaves of ``params``.

    Raises:
      ValueError: naming the first leaf without an update of its shape, which jax would
        broadcast without an error.

    Examples:
      >>> import jax.numpy as jnp
      >>> params = {"a": jnp.ones((2, 3)), "b": jnp.ones(2)}
      >>> updates_of({"a": jnp.ones((1, 3)), "b": None}, params, "nap")
      Traceback (most recent call last):
      ValueError: nap: 'a' has the shape (2, 3), but its update (1, 3)
    """
    treedef: Any = jax.tree.structure(params)
    try:
        found = treedef.flatten_up_to(updates)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: the updates do not fit the parameters: "
            f"{_difference(updates, params)}"
        ) from None
    # The updates of a part were checked with those of the whole tree.
    if not is_part():
        for i, (leaf, update) in enumerate(
            zip(jax.tree.leaves(params), found, strict=True)
        ):
            if wrong := _misfit(leaf, update):
                path = named_leaves(params)[0][i]
                raise ValueError(f"{name}: {path!r} {wrong}")
    return found


def new_updates(
    function: Callable[..., Any], updates: Any, params: Any, name: str, *others: Any
) -> Any:
    """The tree of new updates, each computed by a function from its leaf and update.

    Args:
      function: ``(param, update, *others) -> update``, for one leaf.
      updates: as :func:`updates_of` takes them.
      params: the parameters.
      name: the transformation's name in errors.
      *others: further lists with a value for each leaf.

    Returns:
      A tree of the structure of ``params``.

    Raises:
      ValueError: as :func:`updates_of`.

    Examples:
      >>> import jax.numpy as jnp
      >>> ones = {"a": jnp.ones(2)}
      >>> print(new_updates(lambda p, u, k: k * (p + u), ones, ones, "nap", [3]))
      {'a': Array([6., 6.], dtype=float32)}
    """
    old = updates_of(updates, params, name)
    columns = zip(jax.tree.leaves(params), old, *others, strict=True)
    new = [function(*of_leaf) for of_leaf in columns]
    return jax.tree.unflatten(jax.tree.structure(params), new)


def _misfit(leaf: Any, update: Any) -> str:
    """The words for an update that does not fit; empty if it fits or is ``None``."""
    if not is_floating(leaf) or update is None or isinstance(update, MaskedNode):
        return ""  # a leaf that is no number may have any update
    if isinstance(update, dict | list | tuple):
        return f"is an array, but its update {_checks.shown(update)}"
    shape = getattr(leaf, "shape", ())
    own = getattr(update, "shape", ())
    return "" if own == shape else f"has the shape {shape}, but its update {own}"


def _difference(updates: Any, params: Any) -> str:
    """The words for the first difference of two trees."""
    names, others = (
        [
            path_name(path)
            for path, _ in jax.tree_util.tree_flatten_with_path(
                _boxes.unboxed(tree), is_leaf=lambda x: x is None
            )[0]
        ]
        for tree in (params, updates)
    )
    for name in names:
        if name not in others:
            return f"there is none for {name!r}"
    for name in others:
        if name not in names:
            return f"{name!r} is no leaf of the parameters"
    one, other = map(jax.tree.structure, (params, updates))
    return f"{_checks.shown(other)}, not {_checks.shown(one)}"


def _up_to(treedef: Any, tree: Any) -> list[Any]:
    try:
        return treedef.flatten_up_to(tree)
    except ValueError:
        # An option has no boxes, even if the parameters' boxes hold trees.
        return treedef.flatten_up_to(_boxes.unboxed(tree))


def _is_tree(option: Any) -> bool:
    """Whether a callable object is a tree of values, as a module of booleans is."""
    if isinstance(option, jax.tree_util.Partial):
        return False
    return not jax.tree_util.treedef_is_leaf(jax.tree.structure(option))


def is_floating(leaf: Any) -> bool:
    """Whether a leaf has a floating-point or complex dtype; functions have none."""
    if leaf is None:
        return False
    try:
        return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    except TypeError:
        return False


def is_matrix(path: str, leaf: Any, layer_axes: Sequence[int]) -> bool:
    """Whether a leaf has two or more dimensions within a layer, and a matrix's name."""
    return has_two_dimensions(leaf, layer_axes) and not is_vector(path)


def has_two_dimensions(leaf: Any, layer_axes: Sequence[int]) -> bool:
    """Whether a leaf is floating-point, with two or more dimensions within a layer."""
    return is_floating(leaf) and ndim(leaf) - len(layer_axes) >= 2


def is_vector(path: str) -> bool:
    """Whether a path names a vector, whatever its dimensions."""
    return path.rpartition("/")[-1] in ("scale", "bias")


def ndim(leaf: Any) -> int:
    """The number of dimensions of a leaf; 0 for a leaf that is no array."""
    return len(getattr(leaf, "shape", ()))


def reject_hyperparameter(value: Any, name: str, argument: str = "mask") -> None:
    """Raises `ValueError` on a step count, which is no tree of parameters."""
    # optax.inject_hyperparams calls every callable argument with its step count.
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(
            f"{name} was given an array where it needs a tree of parameters; under "
            "optax.inject_hyperparams, name the argument that takes it in static_args, "
            f'such as static_args=("{argument}",)'
        )


def works_on_shapes(init_fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Lets an ``init`` that computes with the parameters also take shapes alone.

    Given leaves of ``jax.ShapeDtypeStruct``, it returns the same kind of leaves.
    """

    def init(params: Any) -> Any:
        if any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(params)):
            return jax.eval_shape(init_fn, params)
        return init_fn(params)

    return init


def need_values(name: str, tree: Any) -> None:
    """Raises `ValueError` on a tree of ``jax.ShapeDtypeStruct``, without numbers."""
    for path, leaf in zip(*named_leaves(tree), strict=True):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise ValueError(
                f"{name}: {path!r} is a shape only; pass parameters with numbers"
            )


_IS_PART = contextvars.ContextVar("_IS_PART", default=False)


@contextlib.contextmanager
def part_of_a_tree() -> Iterator[None]:
    """Marks the time in which leaves are updated a few at a time.

    Rules may then decide no leaf, because `init` has checked them on all leaves.
    Nothing that concerns all leaves is done.

    Examples:
      >>> with part_of_a_tree():
      ...     is_part()
      True
      >>> is_part()
      False
    """
    token = _IS_PART.set(True)
    try:
        yield
    finally:
        _IS_PART.reset(token)


def is_part() -> bool:
    """Whether :func:`part_of_a_tree` is in force."""
    return _IS_PART.get()
