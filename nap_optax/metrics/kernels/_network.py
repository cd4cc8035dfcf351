"""Checks of a network ``apply(params, inputs)``, its parameters and its inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import _checks, _leaves

__all__ = ["Apply", "check_apply", "floating_leaves", "num_examples", "output_shape"]

Apply = Callable[[Any, Any], jax.Array]
"""``(params, inputs) -> outputs``: one row of inputs and of outputs per example."""


def check_apply(name: str, apply: Any) -> None:
    """Raises `ValueError` unless ``apply`` can be called with two arguments."""
    try:
        inspect.signature(apply).bind(None, None)
    except TypeError:
        fits = False
    except ValueError:  # the function does not tell its arguments
        fits = True
    else:
        fits = not isinstance(apply, type)
    if not fits:
        raise ValueError(
            f"{name}: apply={_checks.shown(apply)}: must be a function of parameters "
            "and inputs"
        )


def floating_leaves(
    name: str, params: Any
) -> tuple[list[jax.Array], Callable[[Sequence[Any]], Any]]:
    """The floating-point leaves of a tree, and a function that replaces them.

    Raises:
      ValueError: if there are none.

    Examples:
      >>> leaves, rebuild = floating_leaves("f", {"count": 3, "kernel": 1.0})
      >>> print(leaves, rebuild([2.0]))
      [1.0] {'count': 3, 'kernel': 2.0}
    """
    leaves, treedef = jax.tree.flatten(params)
    places = [i for i, leaf in enumerate(leaves) if _leaves.is_floating(leaf)]
    if not places:
        raise ValueError(
            f"{name}: params have no floating-point leaf: pass a model's parameters"
        )
    _leaves.need_values(name, params)

    def rebuild(floating: Sequence[Any]) -> Any:
        new = list(leaves)
        for place, leaf in zip(places, floating, strict=True):
            new[place] = leaf
        return jax.tree.unflatten(treedef, new)

    return [leaves[place] for place in places], rebuild


def num_examples(name: str, inputs: Any) -> int:
    """The number of examples: the length of the first axis of all arrays.

    Args:
      name: the argument's name.
      inputs: a tree of arrays.

    Raises:
      ValueError: if there is no array, no first axis, or no example.

    Examples:
      >>> import jax.numpy as jnp
      >>> num_examples("inputs", {"x": jnp.ones((5, 2)), "y": jnp.ones(5)})
      5
    """
    leaves = jax.tree.leaves(inputs)
    for leaf in leaves:
        _checks.array(name, leaf)
    lengths = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        shapes = [jnp.shape(leaf) for leaf in leaves]
        raise ValueError(
            f"{name} must be arrays with one first axis, the examples, got shapes "
            f"{_checks.shown(shapes)}"
        )
    return lengths.pop()


def output_shape(name: str, apply: Apply, params: Any, inputs: Any) -> tuple[int, ...]:
    """The shape of the outputs, after a check of what ``apply`` returns.

    Raises:
      ValueError: if ``apply`` fails, or gives anything but one real floating-point
        array with a row for each example.
    """
    try:
        outputs = jax.eval_shape(apply, params, inputs)
    except Exception as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"{name}: apply(params, inputs) fails: {type(error).__name__}: {why[:160]}"
        ) from error
    examples = num_examples("inputs", inputs)
    fits = isinstance(outputs, jax.ShapeDtypeStruct) and (
        jnp.issubdtype(outputs.dtype, jnp.floating) and outputs.shape[:1] == (examples,)
    )
    if not fits:
        raise ValueError(
            f"{name}: apply must return one real floating-point array with a row for "
            f"each of the {examples} examples, got {_checks.shown(outputs)}"
        )
    return outputs.shape
