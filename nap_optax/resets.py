"""Puts fresh weights in the place of trained ones, in part or as a whole.

Plain functions, for the caller to apply between updates: each takes parameters and
returns parameters. They work under ``jit``, ``lax.cond`` and ``vmap``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _boxes, _checks, _leaves, _masks, _norms, masks

__all__ = ["reset_leaves", "shrink_and_perturb"]

# Fields of this library's states that say where training began.
_REFERENCES = frozenset({"initial_weights", "reference_norm", "target_norm"})


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

    The noise is a scaled initialisation, so it has the scale that each leaf calls for.
    The optimizer's state is none of its business: moments stay, unless the caller
    starts them again (:func:`nap_optax.reset_leaves` does, and
    :func:`nap_optax.restart`).

    **With projection.** The radius stays that of ``init``: the next update scales
    projected leaves back to it, so that of :math:`a` and :math:`b` only the ratio
    matters to them, while the others keep the shrunken scale.

    Args:
      params: the trained parameters.
      fresh_params: newly initialised ones, of the same structure and shapes.
      shrink: the factor :math:`a \ge 0` of the trained ones; may be traced.
      perturb: the factor :math:`b \ge 0` of the fresh ones; may be traced.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: all of a floating-point dtype, as in the paper
        (:func:`nap_optax.masks.floating`).

    Returns:
      The new parameters, in the dtypes of ``params``. Other leaves are passed on.

    Raises:
      ValueError: if a factor is not a number of 0 or more, or the trees do not fit.

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
        _checks.scalar(name, number, "a number of 0 or more", lambda n: n >= 0)
    chosen = _masks.resolve(masks.floating if mask is None else mask, params)
    _check_shapes(params, fresh_params)

    def mixed(param: Any, fresh: Any, select: bool) -> Any:
        if not select:
            return param
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
    r"""Replaces leaves by fresh ones, and what the optimizer's state holds for them.

    The selected leaves become those of ``fresh_params``; moments and whatever else the
    state holds for each of them becomes what ``tx.init`` gives. The rest of the state
    stays: that of other leaves, counts, rates, schedules and detectors. With the
    default mask it is the full reset.

    **Counts stay**, and so Adam no longer corrects the bias of moments that start at
    zero: late in training, the first update of a reset leaf is
    :math:`(1 - \beta_1) / \sqrt{1 - \beta_2}` times what it is in a first step, 3.2 at
    Adam's defaults. To start the counts too, reset everything and take
    ``tx.init(params)`` for the state, or use :func:`nap_optax.restart`.

    **References stay** as of ``init``: the radii of
    :func:`nap_optax.project_weights`, the norms of :func:`nap_optax.hold_elr`, the
    weights of :func:`nap_optax.l2_init`. The next update scales a fresh projected leaf
    to the radius of the first initialisation, hardly a change if both are draws from
    one distribution; ``l2_init`` pulls it toward the first initialisation, not toward
    its own. To have them follow: ``optax.tree.set(opt_state, target_norm=...)``, with
    ``project_weights().init(params).target_norm``.

    Args:
      tx: the transformation that ``opt_state`` is of.
      params: the parameters.
      opt_state: the state of ``tx``.
      fresh_params: newly initialised parameters, of the same structure and shapes.
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: all. Static: to decide at run time whether to reset,
        use ``lax.cond``.

    Returns:
      The new parameters and the new state, of the same structure, shapes and dtypes.

    Raises:
      ValueError: if ``tx`` is no transformation, or the trees do not fit.

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

    def replaced(param: Any, fresh: Any, select: bool) -> Any:
        return jnp.asarray(fresh, jnp.result_type(param)) if select else param

    new_params = jax.tree.map(replaced, params, fresh_params, chosen)
    # Which of the state's leaves belong to a selected leaf of the parameters.
    with _boxes.mapped_as_parameters():
        belongs = optax.tree.map_params(
            tx,
            lambda value, select: value if _is_masked(value) else select,
            opt_state,
            chosen,
            transform_non_params=lambda _: False,
            is_leaf=_is_masked,
        )
    new_state = jax.tree_util.tree_map_with_path(
        lambda path, select, old, new: (
            new if select and not _is_reference(path) else old
        ),
        belongs,
        opt_state,
        tx.init(new_params),
    )
    return new_params, new_state


def _is_masked(value: Any) -> bool:
    return isinstance(value, optax.MaskedNode)


def _is_reference(path: Any) -> bool:
    return any(getattr(key, "name", None) in _REFERENCES for key in path)


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
        if jnp.shape(leaf) != jnp.shape(new):
            raise ValueError(
                f"fresh_params does not fit the parameters: {path!r} has the shape "
                f"{jnp.shape(new)}, not {jnp.shape(leaf)}"
            )
