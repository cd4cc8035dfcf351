"""Replaces trained weights by fresh ones, in part or as a whole.

These are plain functions that take and return parameters; the caller applies them
between updates. They work under ``jit``, ``lax.cond`` and ``vmap``. Outside ``jit``
all returned buffers are new, so the next step may donate them. Leaves that are no
numbers, such as a module's functions, stay as they are.
"""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nap_optax import _boxes, _checks, _leaves, _masks, _norms, _references

__all__ = ["reset_leaves", "shrink_and_perturb"]

_NUMBERS = (int, float, complex)


def shrink_and_perturb(
    params: optax.Params,
    fresh_params: optax.Params,
    shrink: float | jax.Array,
    perturb: float | jax.Array,
    *,
    mask: Any = None,
) -> optax.Params:
    r"""Shrinks the weights and adds a share of freshly initialised ones.

    .. math::

        w \to a\, w + b\, w_{\text{fresh}} \quad \text{for each selected leaf } w

    The noise is a scaled initialisation, so it has the right scale for each leaf. The
    optimizer's state is not changed: moments stay, unless the caller starts them again
    with :func:`nap_optax.reset_leaves` or :func:`nap_optax.restart`.

    **With projection.** The radius stays that of ``init``, and the next update scales
    projected leaves back to it. For them only the ratio of :math:`a` and :math:`b`
    matters; the other leaves keep the shrunken scale.

    Args:
      params: the trained parameters.
      fresh_params: newly initialised parameters, of the same structure and shapes.
      shrink: the factor :math:`a \ge 0` of the trained weights; may be traced.
      perturb: the factor :math:`b \ge 0` of the fresh weights; may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: all arrays of a floating-point dtype, as in the
        paper. Others stay, also if the mask selects them.

    Returns:
      The new parameters, in the dtypes of ``params``. Other leaves are copied.

    Raises:
      ValueError: if a factor is not a finite number of 0 or more, or the trees do not
        fit.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import shrink_and_perturb
      >>> print(shrink_and_perturb(jnp.full(2, 3.0), jnp.ones(2), 0.5, 0.1))
      [1.6 1.6]

    References:
      Ash and Adams, `On Warm-Starting Neural Network Training
      <https://arxiv.org/abs/1910.08475>`_, 2020
    """
    for name, number in (("shrink", shrink), ("perturb", perturb)):
        _checks.finite(name, number, 0)
    chosen = _masks.resolve(True if mask is None else mask, params)
    _check_shapes(params, fresh_params)

    def mixed(param: Any, fresh: Any, select: bool) -> Any:
        # A module's numbers that are no parameters, such as a dropout rate, stay.
        if not select or not _is_float_array(param):
            return _copied(param)
        dtype = _norms.norm_dtype(param)
        new = jnp.asarray(shrink, dtype) * jnp.asarray(param, dtype) + jnp.asarray(
            perturb, dtype
        ) * jnp.asarray(fresh, dtype)
        return new.astype(jnp.result_type(param))

    return jax.tree.map(mixed, params, fresh_params, chosen)


def reset_leaves(
    tx: optax.GradientTransformation,
    params: optax.Params,
    opt_state: optax.OptState,
    fresh_params: optax.Params,
    *,
    mask: Any = None,
) -> tuple[optax.Params, optax.OptState]:
    r"""Replaces leaves by fresh ones, and their part of the optimizer's state.

    The selected leaves become those of ``fresh_params``. Moments, and whatever else the
    state holds for each of them, become those of ``tx.init``. The rest of the state
    stays: that of other leaves, counts, rates, schedules and detectors. With the
    default mask it is the full reset.

    **Counts stay**, so Adam no longer corrects the bias of moments that start at zero:
    late in training, the first update of a reset leaf is
    :math:`(1 - \beta_1) / \sqrt{1 - \beta_2}` times as large as in a first step, 3.2
    times at Adam's defaults. If gradients are steady, the tenth is 6.5 times as large,
    and the hundredth 3.2 times. To start the counts, too, reset everything and use
    ``tx.init(params)`` as the state, or use :func:`nap_optax.restart`, for some leaves
    in ``optax.masked``.

    **References stay** those of ``init``: the radii of
    :func:`nap_optax.project_weights`, the norms of :func:`nap_optax.hold_elr` and the
    weights of :func:`nap_optax.l2_init`. The next update scales a fresh projected leaf
    to the radius of the first initialisation, which hardly changes it if both were
    drawn from one distribution. ``l2_init`` pulls it toward the first initialisation,
    not toward its own. To set new references, use
    ``optax.tree.set(opt_state, target_norm=...)`` with
    ``project_weights().init(params).target_norm``.

    Args:
      tx: the transformation that made ``opt_state``.
      params: the parameters, or a whole module if ``opt_state`` is that of its arrays.
      opt_state: the state of ``tx``; its leaves may be in boxes, as in the
        ``opt_state`` of ``nnx.Optimizer``.
      fresh_params: newly initialised parameters, of the same structure and shapes.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: all. Static: to decide at run time whether to reset,
        use ``lax.cond``.

    Returns:
      The new parameters and the new state, of the same structure, shapes and dtypes.

    Raises:
      ValueError: if ``tx`` is no transformation, or the trees or the state do not fit.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import reset_leaves
      >>> params, tx = {"body": jnp.ones(1), "head": jnp.ones(1)}, optax.adam(0.1)
      >>> _, state = tx.update(params, tx.init(params), params)
      >>> fresh = {"body": jnp.full(1, 7.0), "head": jnp.full(1, 7.0)}
      >>> params, state = reset_leaves(
      ...     tx, params, state, fresh, mask={"body": False, "head": True}
      ... )
      >>> print(params["body"], params["head"], optax.tree.get(state, "count"))
      [1.] [7.] 1
      >>> print(optax.tree.get(state, "mu"))
      {'body': Array([0.1], dtype=float32), 'head': Array([0.], dtype=float32)}
    """
    _checks.is_transformation("tx", tx)
    chosen = _masks.resolve(True if mask is None else mask, params)
    _check_shapes(params, fresh_params)

    new_params = jax.tree.map(
        lambda param, fresh, select: _replaced(param, fresh) if select else param,
        params,
        fresh_params,
        chosen,
    )
    start, belongs = _started(tx, new_params, chosen, opt_state)
    leaves, treedef = jax.tree.flatten(opt_state)
    new_leaves = [
        _replaced(old, new) if select else old
        for old, new, select in zip(leaves, start, belongs, strict=True)
    ]
    # New buffers, shared with no parameter, tree of the caller or each other.
    new_state = jax.tree.unflatten(treedef, map(_copied, new_leaves))
    return jax.tree.map(_copied, new_params), new_state


def _started(
    tx: optax.GradientTransformation, params: Any, chosen: Any, opt_state: Any
) -> tuple[list[Any], list[bool]]:
    """The leaves of a first state, and which of them belong to a chosen parameter.

    They have the order of the leaves of ``opt_state``, which may have another structure
    because of its boxes.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(opt_state)]
    refusals = []
    # The state of a module is that of its arrays, or of its trained arrays.
    for is_param in (lambda _: True, _is_array, _is_float_array):
        own = jax.tree.map(lambda p, keep=is_param: p if keep(p) else None, params)
        selects = jax.tree.map(
            lambda p, select, keep=is_param: select if keep(p) else None, params, chosen
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # given when training began
                state = tx.init(own)
        except (TypeError, ValueError) as error:  # a leaf is no parameter
            refusals.append(error)
            continue
        start = jax.tree.leaves(state)
        if [jnp.shape(leaf) for leaf in start] == shapes:
            return start, _belonging(tx, state, selects)
    raise ValueError(
        "opt_state does not fit: it is not what tx.init gives for these parameters"
    ) from next(iter(refusals), None)


def _belonging(tx: optax.GradientTransformation, state: Any, chosen: Any) -> list[bool]:
    """Whether a chosen parameter owns each leaf of a state, references apart."""

    def labelled(value: Any) -> Any:
        return jax.tree.unflatten(jax.tree.structure(value), _labels(value, chosen))

    with _boxes.mapped_as_parameters():
        belongs = optax.tree.map_params(
            tx,
            labelled,
            state,
            transform_non_params=lambda _: False,
            is_leaf=lambda _: True,  # the tree of all parameters, as one value
        )
    return [
        select and not _references.is_reference(path)
        for path, select in jax.tree_util.tree_leaves_with_path(belongs)
    ]


def _labels(value: Any, chosen: Any) -> list[bool]:
    """Whether each of a state's leaves for the parameters is chosen."""
    selects = set(jax.tree.leaves(chosen))
    num_leaves = len(jax.tree.leaves(value))
    # The structures may differ if all are chosen or none: the state may lack the box of
    # a parameter, or have its own node in a parameter's place.
    if num_leaves == 0 or len(selects) <= 1:
        return [selects == {True}] * num_leaves
    inside, chosen_inside = _children(value), _children(chosen)
    if len(inside) != len(chosen_inside):
        raise ValueError(
            "opt_state does not fit: its tree for the parameters has another "
            f"structure, {jax.tree.structure(value)}"
        )
    pairs = zip(inside, chosen_inside, strict=True)
    return [label for pair in pairs for label in _labels(*pair)]


def _children(node: Any) -> list[Any]:
    return jax.tree.leaves(node, is_leaf=lambda inner: inner is not node)


def _replaced(old: Any, new: Any) -> Any:
    """The new value, in the dtype of an old array; others than numbers stay."""
    if _is_array(old) and not _is_key(old):
        return jnp.asarray(new, old.dtype)
    return new if _is_array(old) or isinstance(old, _NUMBERS) else old


def _copied(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return np.copy(leaf)
    return jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_float_array(leaf: Any) -> bool:
    return _is_array(leaf) and _leaves.is_floating(leaf)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _check_shapes(params: optax.Params, fresh_params: optax.Params) -> None:
    theirs: Any = jax.tree.structure(params)
    own: Any = jax.tree.structure(fresh_params)
    if own != theirs:
        raise ValueError(
            f"fresh_params does not fit the parameters: it has the structure {own}, "
            f"they have {theirs}"
        )
    fresh = jax.tree.leaves(fresh_params)
    for path, leaf, new in zip(*_leaves.named_leaves(params), fresh, strict=True):
        shape, own_shape = (getattr(value, "shape", ()) for value in (new, leaf))
        if shape != own_shape:
            raise ValueError(
                f"fresh_params does not fit the parameters: {path!r} has the shape "
                f"{shape}, not {own_shape}"
            )
