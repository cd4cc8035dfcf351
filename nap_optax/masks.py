"""Which leaves a transformation touches, chosen by path or by shape.

A mask is a function from a tree to a tree of booleans of the same structure, as
optax takes it; it looks at paths and shapes only, so it gives the same answer for
parameters and for updates. Paths are spelled alike for Linen, NNX and plain trees
(:func:`path_name`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "by_path",
    "complement",
    "floating",
    "matrices",
    "named_leaves",
    "path_name",
    "per_leaf",
    "resolve",
    "scales",
    "selected",
    "siblings",
]

Rules = Sequence[tuple[str, Any]]


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


def by_path(rules: Rules, *, strict: bool = True) -> Callable[[Any], Any]:
    """Gives each leaf the value of the first rule whose pattern matches its path.

    The value is a boolean for a mask, but may be anything: a label for
    ``optax.partition``, or the axes of ``project_weights(granularity=...)``.

    Args:
      rules: pairs of a regular expression, matched against the whole of
        :func:`path_name`, and a value. The first match wins.
      strict: raise on a rule that decides no leaf. Inside ``optax.masked`` and
        ``optax.partition`` a transformation sees its own leaves only; there, pass
        ``False``, and apply the strict function to the full tree once.

    Returns:
      A function from a tree to a tree of values.

    Raises:
      ValueError: from that function, naming each leaf that no rule decides and,
        if ``strict``, each rule that decides nothing.

    Examples:
      >>> import jax.numpy as jnp
      >>> mask = by_path([("head/.*", False), (".*/kernel", True)])
      >>> w = jnp.ones((2, 2))
      >>> mask({"body": {"kernel": w}, "head": {"kernel": w}})
      {'body': {'kernel': True}, 'head': {'kernel': False}}
    """
    compiled = [(_compiled(pattern), value) for pattern, value in _checked(rules)]

    def choose(tree: Any) -> Any:
        _reject_hyperparameter(tree, "by_path")
        names, leaves = named_leaves(tree)
        chosen = [_first_match(compiled, name) for name in names]
        undecided = [name for name, i in zip(names, chosen, strict=True) if i is None]
        if undecided:
            raise ValueError(f"no rule of by_path decides {_listed(undecided)}")
        unused = [p.pattern for i, (p, _) in enumerate(compiled) if i not in chosen]
        if strict and leaves and unused:
            raise ValueError(
                f"{_listed(unused)} of by_path decides no leaf of {_listed(names)}"
            )
        return jax.tree.unflatten(
            jax.tree.structure(tree), [compiled[i][1] for i in chosen if i is not None]
        )

    return choose


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
    _reject_hyperparameter(tree, "matrices")
    return jax.tree.map(_is_matrix, tree)


def floating(tree: Any) -> Any:
    """Selects the floating-point leaves, whatever their dimensions.

    Raises:
      ValueError: under ``optax.inject_hyperparams``, if it was not named in
        ``static_args``.

    Examples:
      >>> import jax.numpy as jnp
      >>> floating({"bias": jnp.ones(3), "count": jnp.zeros((2, 2), int)})
      {'bias': True, 'count': False}
    """
    _reject_hyperparameter(tree, "floating")
    return jax.tree.map(_is_floating, tree)


def scales(tree: Any) -> Any:
    """Selects the scales of normalisation layers: leaves whose name is ``scale``.

    That is their name in Linen and NNX. Where it is another, pass a mask of your own,
    for instance ``by_path([("norm/weight", True), (".*", False)])``.

    Raises:
      ValueError: under ``optax.inject_hyperparams``, if it was not named in
        ``static_args``.

    Examples:
      >>> import jax.numpy as jnp
      >>> scales({"norm": {"scale": jnp.ones(3), "bias": jnp.ones(3)}})
      {'norm': {'bias': False, 'scale': True}}
    """
    _reject_hyperparameter(tree, "scales")
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path_name(path).rsplit("/", 1)[-1] == "scale", tree
    )


def siblings(pattern: str) -> Callable[[Any], Any]:
    """Labels the leaves whose paths match with the path they lie in, others ``None``.

    So leaves of one module get one label: ``siblings(".*norm.*/(scale|bias)")`` gives
    ``project_weights(groups=...)`` the scale and the offset of each normalisation layer
    as a group.

    Args:
      pattern: a regular expression, matched against the whole of :func:`path_name`.

    Returns:
      A function from a tree to a tree of strings and ``None``.

    Raises:
      ValueError: if ``pattern`` is no regular expression; from that function, if no
        leaf matches.

    Examples:
      >>> import jax.numpy as jnp
      >>> label = siblings("norm/.*")
      >>> label({"norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)}, "w": jnp.ones(2)})
      {'norm': {'bias': 'norm', 'scale': 'norm'}, 'w': None}
    """
    compiled = _compiled(pattern)

    def choose(tree: Any) -> Any:
        _reject_hyperparameter(tree, "siblings", "groups")
        names, leaves = named_leaves(tree)
        matching = [compiled.fullmatch(name) is not None for name in names]
        if leaves and not any(matching):
            raise ValueError(
                f"{pattern!r} of siblings matches none of {_listed(names)}"
            )
        return jax.tree.unflatten(
            jax.tree.structure(tree),
            [
                name.rpartition("/")[0] if match else None
                for name, match in zip(names, matching, strict=True)
            ],
        )

    return choose


def complement(mask: Any) -> Callable[[Any], Any]:
    """Selects the leaves that another mask leaves out.

    Args:
      mask: a tree of booleans, a prefix of one, or a function that gives one.

    Returns:
      A function from a tree to a tree of booleans.

    Examples:
      >>> import jax.numpy as jnp
      >>> complement(matrices)({"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)})
      {'bias': True, 'kernel': False}
    """
    return lambda tree: jax.tree.map(lambda chosen: not chosen, resolve(mask, tree))


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
    """Resolves the mask of a transformation, :func:`matrices` for ``None``.

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


def _reject_hyperparameter(value: Any, name: str, argument: str = "mask") -> None:
    # optax.inject_hyperparams calls every callable argument with its step count.
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(
            f"{name} was given an array where it needs a tree of parameters; under "
            "optax.inject_hyperparams, name the argument that takes it in static_args, "
            f'such as static_args=("{argument}",)'
        )


def _checked(rules: Any) -> list[tuple[str, Any]]:
    try:
        return [(pattern, value) for pattern, value in rules]
    except (TypeError, ValueError):
        raise ValueError(
            f"rules={rules!r}: must be pairs of a pattern and a value"
        ) from None


def _compiled(pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (TypeError, re.error) as error:
        raise ValueError(
            f"pattern={pattern!r}: must be a regular expression ({error})"
        ) from None


def _first_match(
    compiled: Sequence[tuple[re.Pattern[str], Any]], name: str
) -> int | None:
    matches = (i for i, (pattern, _) in enumerate(compiled) if pattern.fullmatch(name))
    return next(matches, None)


def _is_matrix(leaf: Any) -> bool:
    return jnp.ndim(leaf) >= 2 and _is_floating(leaf)


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
