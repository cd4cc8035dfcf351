"""Checks whether a transformation that should give a direction negates it already."""

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

# Leaves and updates of the trial. One update is too few: its rate may be 0.
MOST_LEAVES = 8
MOST_UPDATES = 3


def warns_of_ascent(
    name: str, inner: optax.GradientTransformation
) -> Callable[[Any], None]:
    """Makes a check for ``init`` that ``inner`` does not negate its gradient.

    The check tries ``inner`` on a few tiny leaves in place of the parameters', once,
    outside ``jit``. It is a hint and never an error, so it skips what it cannot try.

    Args:
      name: the transformation that negates the updates of ``inner``.
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
                f"{name}: inner negates gradients already, as an alias such as "
                "optax.adam(1e-3) does; negated twice, the weights would ascend. Pass "
                "what the alias scales, such as optax.scale_by_adam(), and the rate to "
                f"{name}; or leave out a negative scale"
            )

    return check


def _negates(inner: optax.GradientTransformation, params: Any) -> bool:
    try:
        # Warnings and reports of the trial are not about the caller's parameters.
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
            # An update that does not turn with the gradient, such as noise, points
            # against one of the two at most.
            return bool(ascending and ascending & _against(step, state, tiny, -1.0))
    except Exception:
        return False


def _compiled(inner: Any, params: Any) -> Callable[..., Any]:
    """An update, and how far each leaf's goes along its gradient.

    They are compiled as one, because the small operations take seconds one by one.
    """
    inner = optax.with_extra_args_support(inner)
    treedef = _structure(params)

    @jax.jit
    def step(grads: Any, state: Any, params: Any) -> Any:
        def along(tree: Any) -> list[jax.Array]:
            others = treedef.flatten_up_to(tree)
            return list(map(_dot, jax.tree.leaves(grads), others))

        def loss(at: Any) -> Any:  # with these gradients, for a line search
            return 1 + sum(along(at))

        updates, state = inner.update(
            grads, state, params, value=loss(params), grad=grads, value_fn=loss
        )
        return along(updates), state

    return step


def _against(
    step: Callable[..., Any], state: Any, params: Any, sign: float
) -> set[int]:
    """The leaves with updates that point against a gradient of some sign."""
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
    """A gradient of one sign with unequal entries: some updates subtract the mean."""
    entries = sign * (1 + np.arange(leaf.size) / max(leaf.size, 1))
    return entries.reshape(leaf.shape).astype(leaf.dtype)


def _tiny(params: Any) -> Any:
    """A tree of a few leaves of zeros, with at most 2 entries along each axis."""
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
    """Picks a few leaves, of as many names and numbers of dimensions as possible."""
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
