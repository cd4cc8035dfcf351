"""From a mask, or another option for each leaf, to its value for every leaf."""

from __future__ import annotations

import contextlib
import contextvars
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "is_floating",
    "is_part",
    "matrices",
    "named_leaves",
    "part_of_a_tree",
    "path_name",
    "per_leaf",
    "reject_hyperparameter",
    "resolve",
    "selected",
]


def path_name(path: Sequence[Hashable]) -> str:
    """Spells a key path as ``"layer_0/dense/kernel"``.

    Linen's outermost ``params`` and the ``.value`` with which NNX variables end are
    left out, so one pattern serves both libraries and plain trees.

    Args:
      path: a key path from ``jax.tree_util.tree_flatten_with_path``.

    Returns:
      The components joined by ``/``; the empty string for a bare array.

    Examples:
      >>> import jax
      >>> params = {"params": {"dense": {"kernel": 1.0}}}
      >>> [(path, _)] = jax.tree_util.tree_flatten_with_path(params)[0]
      >>> path_name(path)
      'dense/kernel'
    """
    entries = list(path)
    last = jax.tree_util.GetAttrKey
    if entries and isinstance(entries[-1], last) and entries[-1].name == "value":
        entries = entries[:-1]
    if len(entries) > 1 and entries[0] == jax.tree_util.DictKey("params"):
        entries = entries[1:]
    return jax.tree_util.keystr(tuple(entries), simple=True, separator="/")


def named_leaves(tree: Any) -> tuple[list[str], list[Any]]:
    """Lists the :func:`path_name` of each leaf, and the leaves.

    Examples:
      >>> named_leaves({"dense": {"kernel": 1.0, "bias": 2.0}})
      (['dense/bias', 'dense/kernel'], [2.0, 1.0])
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [path_name(path) for path, _ in leaves], [leaf for _, leaf in leaves]


def matrices(tree: Any) -> Any:
    """Selects the floating-point leaves with two or more dimensions.

    Raises:
      ValueError: under ``optax.inject_hyperparams``, if it was not named in
        ``static_args``.

    Examples:
      >>> import jax.numpy as jnp
      >>> matrices({"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)})
      {'bias': False, 'kernel': True}
    """
    reject_hyperparameter(tree, "matrices")
    return jax.tree.map(lambda leaf: jnp.ndim(leaf) >= 2 and is_floating(leaf), tree)


def resolve(mask: Any, tree: Any, *, name: str = "mask") -> Any:
    """Turns a mask in any form that optax accepts into a tree of booleans.

    Args:
      mask: a tree of booleans, a prefix of one, or a function that gives one.
      tree: the parameters.
      name: what to call the mask in an error.

    Returns:
      A tree of Python booleans with the structure of ``tree``.

    Raises:
      ValueError: if the structure does not fit, a leaf is not a boolean, or the mask is
        ``False`` as a whole, as a function is once ``optax.inject_hyperparams`` has
        called it.

    Examples:
      >>> resolve(True, {"a": 1.0, "b": [2.0]})
      {'a': True, 'b': [True]}
    """
    if mask is False:
        raise ValueError(
            f"{name}=False: it would select nothing; under optax.inject_hyperparams, "
            f'name it in static_args=("{name}",)'
        )
    chosen = per_leaf(mask, tree, name)
    for value in chosen:
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name}={value!r}: every leaf must be True or False")
    return jax.tree.unflatten(jax.tree.structure(tree), map(bool, chosen))


def selected(mask: Any, tree: Any, name: str) -> Any:
    """Resolves the mask of a transformation, the matrices for ``None``.

    Warns if a mask of the caller's selects no leaf, so that nothing would happen. (No
    error: a mask may serve several partitions of the parameters. The default may
    select nothing.)

    Args:
      mask: in any form that :func:`resolve` takes, or ``None``.
      tree: the parameters.
      name: of the transformation.

    Returns:
      A tree of Python booleans with the structure of ``tree``.

    Raises:
      ValueError: as :func:`resolve`.

    Examples:
      >>> import jax.numpy as jnp
      >>> selected(None, {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "example")
      {'bias': False, 'kernel': True}
    """
    chosen = resolve(matrices if mask is None else mask, tree)
    leaves = jax.tree.leaves(chosen)
    if mask is not None and leaves and not any(leaves):
        warnings.warn(f"{name}: the mask selects none of the leaves", stacklevel=4)
    return chosen


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
      name: what to call the option in an error.
      is_leaf: recognises values that are themselves trees, as tuples of axes are.

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
    option = option(tree) if callable(option) else option
    leaves = jax.tree.leaves(option, is_leaf=is_leaf)
    treedef: Any = jax.tree.structure(option, is_leaf=is_leaf)
    try:
        subtrees = treedef.flatten_up_to(tree)
    except ValueError as error:
        raise ValueError(
            f"{name} does not fit the parameters: it has the structure {treedef}, they "
            f"have {jax.tree.structure(tree)}"
        ) from error
    return [
        value
        for value, subtree in zip(leaves, subtrees, strict=True)
        for _ in jax.tree.leaves(subtree)
    ]


_is_part = contextvars.ContextVar("is_part", default=False)


@contextlib.contextmanager
def part_of_a_tree() -> Iterator[None]:
    """While leaves are updated a few at a time.

    Rules may decide none of them, for all were there when `init` checked the rules, and
    nothing may be done for the sake of all leaves.

    Examples:
      >>> with part_of_a_tree():
      ...     is_part()
      True
      >>> is_part()
      False
    """
    token = _is_part.set(True)
    try:
        yield
    finally:
        _is_part.reset(token)


def is_part() -> bool:
    """Whether :func:`part_of_a_tree` is in force."""
    return _is_part.get()


def is_floating(leaf: Any) -> bool:
    """Whether a leaf has a floating-point or complex dtype."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def reject_hyperparameter(value: Any, name: str, argument: str = "mask") -> None:
    """Raises on a step count, which is no tree of parameters."""
    # optax.inject_hyperparams calls every callable argument with its step count.
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(
            f"{name} was given an array where it needs a tree of parameters; under "
            "optax.inject_hyperparams, name the argument that takes it in static_args, "
            f'such as static_args=("{argument}",)'
        )
