"""Whether a transformation that should give a direction turns it round already."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _checks, _leaves, _report

__all__ = ["warns_of_ascent"]

# How many leaves are tried, and for how many updates: the first may have a rate of 0.
MOST_LEAVES = 8
MOST_UPDATES = 3


def warns_of_ascent(
    name: str, inner: optax.GradientTransformation
) -> Callable[[Any], None]:
    """A check for ``init``: that ``inner`` does not negate its gradient.

    It tries ``inner`` on a few tiny leaves in place of the parameters', once, outside
    ``jit``. What cannot be tried so is passed over: this is a hint, and never an error.

    Args:
      name: of the transformation that negates what ``inner`` gives.
      inner: the transformation inside.

    Returns:
      A function of the parameters, which warns.
    """
    done = False

    def check(params: optax.Params) -> None:
        nonlocal done
        leaves = jax.tree.leaves(params)
        # New arrays are traced, too, under `jit` with parameters from outside.
        if done or any(map(_is_traced, [*leaves, jnp.zeros([])])):
            return
        if not any(map(_is_concrete, leaves)):
            return
        done = True
        if _negates(inner, params):
            _checks.warn(
                f"{name}: inner turns gradients round already, as an alias such as "
                "optax.adam(1e-3) does; negated twice, the weights would ascend. Pass "
                "what the alias scales, such as optax.scale_by_adam(), and the rate to "
                f"{name}; or leave out a negative scale"
            )

    return check


def _negates(inner: optax.GradientTransformation, params: Any) -> bool:
    try:
        # What it warns of, or tells `explain`, is not about the caller's parameters.
        with (
            warnings.catch_warnings(),
            _report.listening(),
            _leaves.part_of_a_tree(),
            jax.numpy_dtype_promotion("standard"),
        ):
            warnings.simplefilter("ignore")
            tiny = _tiny(params)
            step, state = _compiled(inner, tiny), jax.jit(inner.init)(tiny)
            ascending = _against(step, state, tiny, 1.0)
            # What does not turn with the gradient, such as noise, is against one of
            # the two at most.
            return bool(ascending and ascending & _against(step, state, tiny, -1.0))
    except Exception:
        return False


def _compiled(inner: Any, params: Any) -> Callable[..., Any]:
    """An update, and how far each leaf's goes along its gradient.

    Compiled as one: all the small operations, each by itself, take seconds.
    """
    inner = optax.with_extra_args_support(inner)
    treedef = _structure(params)

    @jax.jit
    def step(grads: Any, state: Any, params: Any) -> Any:
        def along(tree: Any) -> list[jax.Array]:
            others = treedef.flatten_up_to(tree)
            return list(map(_dot, jax.tree.leaves(grads), others))

        def loss(at: Any) -> Any:  # of these gradients, for a search along the line
            return 1 + sum(along(at))

        updates, state = inner.update(
            grads, state, params, value=loss(params), grad=grads, value_fn=loss
        )
        return along(updates), state

    return step


def _against(
    step: Callable[..., Any], state: Any, params: Any, sign: float
) -> set[int]:
    """Which leaves' updates point against a gradient of some sign."""
    grads = jax.tree.map(lambda leaf: _slope(leaf, sign), params)
    for _ in range(MOST_UPDATES):
        along, state = step(grads, state, params)
        lengths = list(map(float, along))
        if any(lengths):
            return {i for i, length in enumerate(lengths) if length < 0}
    return set()


def _structure(tree: Any) -> Any:
    return jax.tree.structure(tree)


def _dot(grad: jax.Array, other: Any) -> jax.Array:
    return jnp.real(jnp.sum(jnp.conj(grad) * other))


def _slope(leaf: np.ndarray, sign: float) -> np.ndarray:
    """A gradient of entries of one sign, not all equal: some subtract the mean."""
    entries = sign * (1 + np.arange(leaf.size) / max(leaf.size, 1))
    return entries.reshape(leaf.shape).astype(leaf.dtype)


def _tiny(params: Any) -> Any:
    """The tree with a few leaves, of zeros and at most 2 along each axis."""
    leaves, treedef = jax.tree.leaves(params), _structure(params)
    chosen = _chosen(_leaves.named_leaves(params)[0], leaves)
    return treedef.unflatten(
        [
            np.zeros([min(n, 2) for n in leaf.shape], leaf.dtype)
            if i in chosen
            else optax.MaskedNode()
            for i, leaf in enumerate(leaves)
        ]
    )


def _chosen(paths: Sequence[str], leaves: Sequence[Any]) -> list[int]:
    """A few leaves, of as many names and numbers of dimensions as there are."""
    seen: Counter[Any] = Counter()
    order = []
    for i, (path, leaf) in enumerate(zip(paths, leaves, strict=True)):
        if _is_concrete(leaf) and leaf.size:
            kind = path.rpartition("/")[2], leaf.ndim
            order.append((seen[kind], i))
            seen[kind] += 1
    return [i for _, i in sorted(order)[:MOST_LEAVES]]


def _is_concrete(leaf: Any) -> bool:
    is_array = isinstance(leaf, jax.Array | np.ndarray) and not _is_traced(leaf)
    return is_array and _leaves.is_floating(leaf)


def _is_traced(leaf: Any) -> bool:
    return isinstance(leaf, jax.core.Tracer)
