"""Masks: the leaves that a transformation changes, chosen by path or by shape.

A mask is a function from a tree to a tree of booleans of the same structure, as optax
takes it. It reads paths and shapes only, so it gives the same answer for parameters
and for updates. Paths are spelled alike for Linen, NNX and plain trees (:func:`paths`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax

from nap_optax import _checks, _layers, _leaves, _masks
from nap_optax._leaves import path_name
from nap_optax._masks import matrices

__all__ = [
    "axes_named",
    "by_path",
    "complement",
    "floating",
    "matrices",
    "path_name",
    "paths",
    "scales",
    "siblings",
]

Rules = Sequence[tuple[str, Any]]


def paths(tree: Any) -> list[str]:
    """Lists the path of each leaf, as masks and labels by path see it.

    Components are joined by ``/``. Linen's outermost ``params`` and the boxes of Flax
    (``nnx.Param``, ``nn.Partitioned``) are left out.

    Args:
      tree: the parameters, or a tree of their structure.

    Returns:
      The paths, in the order of ``jax.tree.leaves``.

    Examples:
      >>> paths({"params": {"dense": {"kernel": 1.0, "bias": 2.0}}})
      ['dense/bias', 'dense/kernel']
    """
    return _leaves.named_leaves(tree)[0]


def axes_named(*names: str) -> Callable[[Any], Any]:
    """Finds the axes that Flax calls by one of these names, for ``layer_axes``.

    Flax keeps the names in boxes around parameters that were made with
    ``nn.with_partitioning`` or ``nnx.with_partitioning``. ``nn.scan`` and ``nnx.vmap``
    add the name of the axis along which they stack, given as ``nn.PARTITION_NAME``. By
    default ``layer_axes`` is ``axes_named("layers")``. If parameters lose their boxes
    before an optimizer sees them, call the function on parameters in boxes and pass the
    tree that it returns.

    Args:
      *names: the names of axes along which layers are stacked.

    Returns:
      A function from parameters to a tree of tuples of axes, without boxes.

    Raises:
      ValueError: if there is no name or one is no string; from that function, if no
        parameter has an axis of one of the names.

    Examples:
      >>> from flax import linen as nn
      >>> import jax.numpy as jnp
      >>> kernel = nn.Partitioned(jnp.ones((3, 2, 2)), names=("layers", None, "model"))
      >>> axes_named("layers")({"kernel": kernel, "bias": jnp.ones(2)})
      {'bias': (), 'kernel': (0,)}
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"names={_checks.shown(names)}: must be one or several strings"
        )

    def choose(tree: Any) -> Any:
        axes = _layers.named(names, tree)
        found = bool(jax.tree.leaves(axes))  # of tuples; () has no leaves
        if jax.tree.leaves(tree) and not found and not _leaves.is_part():
            known = sorted(_layers.known_names(tree))
            raise ValueError(
                f"no axis is called {_listed(names)}; Flax knows {_listed(known)}"
                if known
                else f"no axis is called {_listed(names)}: Flax names none here"
            )
        return axes

    return choose


def by_path(rules: Rules, *, strict: bool = True) -> Callable[[Any], Any]:
    """Gives each leaf the value of the first rule whose pattern matches its path.

    The value is a boolean for a mask, but may be anything: a label for
    ``optax.partition``, or the axes of ``project_weights(granularity=...)``.

    Args:
      rules: pairs of a regular expression, matched against the whole of
        the path (see :func:`paths`), and a value. The first match wins.
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
    _checks.flag("strict", strict)
    compiled = [(_compiled(pattern), value) for pattern, value in _checked(rules)]

    def choose(tree: Any) -> Any:
        _leaves.reject_hyperparameter(tree, "by_path")
        names, leaves = _leaves.named_leaves(tree)
        chosen = [_first_match(compiled, name) for name in names]
        undecided = [name for name, i in zip(names, chosen, strict=True) if i is None]
        if undecided:
            raise ValueError(
                f"no rule of by_path decides {_listed(undecided)}: add one, such as "
                '(".*", False) at the end'
            )
        unused = [p.pattern for i, (p, _) in enumerate(compiled) if i not in chosen]
        if strict and leaves and unused and not _leaves.is_part():
            raise ValueError(
                f"{_listed(unused)} of by_path decides no leaf of {_listed(names)}: "
                "correct the rule, or pass strict=False"
            )
        return jax.tree.unflatten(
            jax.tree.structure(tree), [compiled[i][1] for i in chosen if i is not None]
        )

    return choose


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
    _leaves.reject_hyperparameter(tree, "floating")
    return jax.tree.map(_leaves.is_floating, tree)


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
    _leaves.reject_hyperparameter(tree, "scales")
    names = [path.rpartition("/")[-1] for path in paths(tree)]
    return jax.tree.unflatten(
        jax.tree.structure(tree), [name == "scale" for name in names]
    )


def siblings(pattern: str) -> Callable[[Any], Any]:
    """Labels each leaf with a matching path by its module's path, others by ``None``.

    Matching leaves of one module get the same label, so
    ``project_weights(groups=siblings(".*norm.*/(scale|bias)"))`` has the scale and the
    offset of each normalisation layer as a group.

    Args:
      pattern: a regular expression, matched against the whole of the path
        (see :func:`paths`).

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
        _leaves.reject_hyperparameter(tree, "siblings", "groups")
        names, leaves = _leaves.named_leaves(tree)
        matching = [compiled.fullmatch(name) is not None for name in names]
        if leaves and not any(matching) and not _leaves.is_part():
            raise ValueError(
                f"pattern={_checks.shown(pattern)} of siblings matches none of "
                f"{_listed(names)}: correct the pattern"
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
    return lambda tree: jax.tree.map(
        lambda chosen: not chosen, _masks.resolve(mask, tree)
    )


def _checked(rules: Any) -> list[tuple[str, Any]]:
    try:
        return [(pattern, value) for pattern, value in rules]
    except (TypeError, ValueError):
        raise ValueError(
            f"rules={_checks.shown(rules)}: must be pairs of a pattern and a value"
        ) from None


def _compiled(pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (TypeError, re.error) as error:
        raise ValueError(
            f"pattern={_checks.shown(pattern)}: must be a regular expression ({error})"
        ) from None


def _first_match(
    compiled: Sequence[tuple[re.Pattern[str], Any]], name: str
) -> int | None:
    matches = (i for i, (pattern, _) in enumerate(compiled) if pattern.fullmatch(name))
    return next(matches, None)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(_checks.shown, names[:5]))
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
