"""Runs a transformation on a few leaves at a time, to hold few in memory."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _boxes, _checks, _leaves, _order, _values

__all__ = ["leaf_by_leaf"]

# The owner of a leaf of the state that belongs to no parameter, such as a count.
SHARED = -1


def leaf_by_leaf(
    inner: optax.GradientTransformation, leaves_at_once: int = 1
) -> optax.GradientTransformationExtraArgs:
    r"""Finishes a few leaves before it starts the next, so that few are in memory.

    A projection needs the norm of all new weights of a leaf before it can write any of
    them, so these weights are held in memory. XLA may start all leaves at once and hold
    the weights of all (its default scheduler on the CPU does). Here the gradient of a
    leaf waits for the new weights of the previous leaf:

    .. math::

        u_i = \mathrm{inner}(g_i, W_i), \qquad g_i \text{ only after } W_{i-1} + u_{i-1}

    Updates, state and the state's structure are those of ``inner``, so a checkpoint of
    one can be continued with the other. Use it around a whole chain, for instance
    ``leaf_by_leaf(nap(...))``, inside one ``jax.jit`` with ``optax.apply_updates``.
    Also donate parameters and state; otherwise the returned copies outweigh the
    savings.

    A transformation that reads all leaves, such as ``optax.clip_by_global_norm``, must
    come before it, in a chain around it. ``init`` checks that there is none inside: it
    traces the update of the whole tree and of its parts, and compares what they
    compute. The time of this check and of tracing an update grows with the square of
    the number of leaves: for 300 leaves each takes seconds, and a quarter of that with
    ``leaves_at_once=4``.

    Args:
      inner: the transformation. Its results for a leaf may depend on that leaf, on the
        rest of its state (such as counts) and on extra arguments only.
      leaves_at_once: the number of leaves, in the order of the tree, that are computed
        together. A larger number gives the compiler more to do at once and needs more
        memory. If leaves are sharded over devices, each part sends its own messages.
        Static.

    Returns:
      A transformation whose ``update`` needs ``params``, takes the extra arguments of
      ``inner`` and has its state.

    Raises:
      ValueError: if ``leaves_at_once`` is not 1 or more; in ``init`` if a leaf is no
        array, if ``inner`` does not treat each leaf (or each part of
        ``leaves_at_once`` leaves) by itself, or if it keeps its state in a form that
        ``optax.tree.map_params`` does not know; in ``update`` if ``params`` is missing.
        If ``inner`` needs an extra argument other than ``value`` and ``rewarm``,
        ``update`` checks ``inner`` in place of ``init``. Under
        ``optax.inject_hyperparams``, pass ``static_args=("inner", "leaves_at_once")``.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> import nap_optax
      >>> tx = optax.chain(
      ...     optax.clip_by_global_norm(1.0),
      ...     nap_optax.leaf_by_leaf(nap_optax.nap(optax.scale_by_adam(), 0.1)),
      ... )
      >>> params = {"a": 3 * jnp.eye(2), "b": 4 * jnp.eye(2)}
      >>> state = tx.init(params)
      >>> updates, state = tx.update(params, state, params)
      >>> int(optax.tree.get(state, "projection_step"))
      1
    """
    _checks.is_transformation("inner", inner)
    size = _checks.static_count("leaves_at_once", leaves_at_once)
    inner = optax.with_extra_args_support(inner)
    checked: set[Any] = set()

    def check(params: Any, updates: Any, state: Any, extra_args: Any) -> None:
        kind = (
            jax.tree.structure((params, state)),
            tuple((jnp.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(params)),
        )
        if kind not in checked:
            _check_parts(inner, (updates, state, params), extra_args, size)
            checked.add(kind)

    def init_fn(params: optax.Params) -> optax.OptState:
        _check_arrays(params)
        state = inner.init(params)
        if jax.tree.leaves(params):  # optax.tree.map_params gives it none
            extra_args = {"value": jnp.float32(1), "rewarm": False}
            # `update` may get an extra argument that is missing here.
            with contextlib.suppress(_UntraceableError):
                check(params, params, state, extra_args)
        return state

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        _checks.has_params("leaf_by_leaf", params)
        if not jax.tree.leaves(params):
            return inner.update(updates, state, params, **extra_args)
        _leaves.updates_of(updates, params, "leaf_by_leaf")
        try:
            check(params, updates, state, extra_args)
        except _UntraceableError as error:
            raise error.args[0] from None
        whole = _Whole.of(inner, updates, state, params)
        done: list[Any] = []
        before: list[jax.Array] = []
        for part in whole.parts(size):
            grads = _after(whole.updates_of(part), before)
            with _leaves.part_of_a_tree():
                new = inner.update(
                    grads, whole.state_of(part), whole.params_of(part), **extra_args
                )
            done.append(new)
            before = whole.moved(part, new[0]) or before
        return whole.together(done, size)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _check_arrays(params: Any) -> None:
    for path, leaf in zip(*_leaves.named_leaves(params), strict=True):
        if not hasattr(leaf, "dtype") and not isinstance(leaf, float | int):
            raise ValueError(
                f"leaf_by_leaf: {path!r} is {leaf!r}, not an array: give it the arrays "
                "of a module only, as eqx.partition(module, eqx.is_array)"
            )


class _UntraceableError(Exception):
    """The update raised an error, its argument, before anything could be compared."""


@dataclasses.dataclass(frozen=True)
class _Whole:
    """The arguments of an update, by leaf.

    A part has the structure of the whole, so paths stay the same. Other leaves are
    replaced by ``optax.MaskedNode``, as in ``optax.masked``.
    """

    treedef: Any  # of the parameters
    updates: list[Any]
    params: list[Any]
    state: list[Any]
    state_treedef: Any
    owners: list[int]  # of each leaf of the state: its parameter's index, or SHARED

    @classmethod
    def of(cls, inner: Any, updates: Any, state: Any, params: Any) -> _Whole:
        treedef: Any = jax.tree.structure(params)
        leaves, state_treedef = jax.tree.flatten(state)
        return cls(
            treedef=treedef,
            updates=treedef.flatten_up_to(updates),
            params=jax.tree.leaves(params),
            state=leaves,
            state_treedef=state_treedef,
            owners=_owners(inner, state, params),
        )

    def parts(self, size: int) -> list[range]:
        count = len(self.params)
        return [range(i, min(i + size, count)) for i in range(0, count, size)]

    def updates_of(self, part: range) -> Any:
        return self.treedef.unflatten(_only(part, self.updates))

    def params_of(self, part: range) -> Any:
        return self.treedef.unflatten(_only(part, self.params))

    def state_of(self, part: range) -> Any:
        return self.state_treedef.unflatten(
            leaf if owner == SHARED or owner in part else optax.MaskedNode()
            for leaf, owner in zip(self.state, self.owners, strict=True)
        )

    def moved(self, part: range, updates: Any) -> list[jax.Array]:
        """The new weights of the leaves that have an update."""
        new = self.treedef.flatten_up_to(updates)
        with jax.numpy_dtype_promotion("standard"):  # updates may be wider
            return [
                # Written as optax.apply_updates does, so that XLA computes it once.
                jnp.asarray(weight + new[i]).astype(jnp.result_type(weight))
                for i, weight in enumerate(self.params)
                if i in part and _leaves.is_floating(new[i]) and jnp.size(new[i])
            ]

    def together(self, done: Sequence[Any], size: int) -> tuple[Any, Any]:
        """Joins the updates and the states of the parts to those of the whole tree."""
        parts = self.parts(size)
        updates = [
            self.treedef.flatten_up_to(new)[i]
            for part, (new, _) in zip(parts, done, strict=True)
            for i in part
        ]
        # Shared leaves are equal in all parts, so counts advance once.
        states = [iter(jax.tree.leaves(new)) for _, new in done]
        state = []
        for owner in self.owners:
            if owner == SHARED:
                first, *_ = [next(leaves) for leaves in states]
                state.append(first)
            else:
                state.append(next(states[owner // size]))
        return self.treedef.unflatten(updates), self.state_treedef.unflatten(state)


def _after(grads: Any, weights: Sequence[jax.Array]) -> Any:
    """The gradients, which wait for the weights."""
    if jax.device_count() > 1:
        # Reading one element of a sharded leaf would send a message.
        return jax.lax.optimization_barrier((grads, weights))[0]
    return _order.after(grads, [w[(0,) * w.ndim] for w in weights])


def _only(part: range, leaves: Sequence[Any]) -> list[Any]:
    return [x if i in part else optax.MaskedNode() for i, x in enumerate(leaves)]


def _owners(inner: Any, state: Any, params: Any) -> list[int]:
    """The index of the parameter that each leaf of the state belongs to, or SHARED."""
    bare = jax.tree_util.tree_flatten_with_path(_boxes.unboxed(params))[0]
    positions = {path: i for i, (path, _) in enumerate(bare)}

    def owner(path: Any, _: Any) -> int:
        # A state may keep a tree for a leaf, below the leaf's path.
        for end in range(len(path), -1, -1):
            if path[:end] in positions:
                return positions[path[:end]]
        raise ValueError(jax.tree_util.keystr(path))

    try:
        with _boxes.mapped_as_parameters():
            marked = optax.tree.map_params(
                inner,
                lambda tree: jax.tree_util.tree_map_with_path(owner, tree),
                state,
                transform_non_params=lambda tree: jax.tree.map(lambda _: SHARED, tree),
                is_leaf=lambda _: True,  # the whole tree that is like the parameters
            )
    except Exception as error:
        raise ValueError(
            "leaf_by_leaf: the state of the transformation inside cannot be divided "
            f"by leaf: optax.tree.map_params fails on it with {error!r}"
        ) from error
    return jax.tree.leaves(marked)


def _check_parts(inner: Any, arguments: Any, extra_args: Any, size: int) -> None:
    """Raises unless parts of the tree are updated as they are in the whole."""
    abstract = jax.eval_shape(lambda: arguments)
    whole = _Whole.of(inner, *abstract)
    values = _values.Values()

    def outputs(*arguments: Any) -> dict[str, int]:
        def update(updates: Any, state: Any, params: Any) -> Any:
            return inner.update(updates, state, params, **extra_args)

        with _leaves.part_of_a_tree():
            return values.of_outputs(update, *arguments)

    try:
        together = outputs(*abstract)
    except Exception as error:
        raise _UntraceableError(error) from error
    names, _ = _leaves.named_leaves(abstract[2])
    seen: set[str] = set()
    for part in whole.parts(size):
        listed = ", ".join(repr(names[i]) for i in part)
        try:
            alone = outputs(
                whole.updates_of(part), whole.state_of(part), whole.params_of(part)
            )
        except Exception as error:
            raise ValueError(
                f"leaf_by_leaf: the transformation inside cannot update {listed} "
                f"without the other leaves: {error!r}"
            ) from error
        seen |= alone.keys()
        for path, value in alone.items():
            if together.get(path) != value:
                raise ValueError(
                    f"leaf_by_leaf: the update of {listed} alone computes something "
                    f"else, for {path} of (updates, state), than that of all leaves; "
                    "a transformation that depends on several leaves, such as groups, "
                    "a global norm or random numbers, must come before it in the chain"
                )
    if missing := together.keys() - seen:
        raise ValueError(
            "leaf_by_leaf: the separate updates of all leaves leave out "
            f"{', '.join(sorted(missing))} of (updates, state); use the transformation "
            "inside without leaf_by_leaf"
        )
