"""Keeps weight norms fixed by projecting after each update (Normalize-and-Project)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _boxes, _checks, _leaves, _norms, _targets

__all__ = ["ProjectWeightsState", "project_weights"]


class ProjectWeightsState(NamedTuple):
    """State of :func:`project_weights`."""

    projection_step: jax.Array  # shape=(), dtype=int32: updates seen so far
    # Per projected leaf, the norm it is held at: shape=() for a whole leaf, else the
    # leaf's shape with 1 on the axes of the norm; float32 at least. MaskedNode
    # elsewhere.
    target_norm: Any


def project_weights(
    radius: Any = "init",
    *,
    granularity: Any = "leaf",
    mask: Any = None,
    groups: Any = None,
    layer_axes: Any = None,
    every: int = 1,
) -> optax.GradientTransformationExtraArgs:
    r"""Projects weights back to a fixed norm after each update.

    For each selected leaf :math:`W` and update :math:`u`, emits the update that takes
    :math:`W` to

    .. math::

        W + u \;\to\; \frac{r}{\lVert W + u \rVert} (W + u), \qquad
        r = \lVert W_0 \rVert_F \text{ by default.}

    With the norm fixed, the effective learning rate (update norm over parameter norm)
    is what the learning-rate schedule says.

    .. warning::
        Must be the last transformation that changes updates: if they are rescaled
        afterwards, the weights leave the sphere.

    **Which norm.** The radius is measured once, by ``init``, and never again, so
    nothing drifts. It is the norm of the parameters that ``init`` saw. After loading
    pretrained weights or resetting layers, call ``init`` on the new parameters to
    hold *their* norm; otherwise the next update returns them to the old norm. Norms are
    computed in float32 at least, whatever the parameters' dtype; updates keep their
    dtype.

    **Groups.** The members of a group are scaled by one factor, which holds their joint
    norm. The radius is the joint norm at ``init``, or the number that ``radius`` gives
    all of them. Groups take precedence: members are projected whatever their
    dimensions, and ``granularity`` does not apply to them. If a mask of your own leaves
    a member out, ``init`` raises an error.

    **Zero leaves.** A leaf (or unit) that is zero at ``init`` has no radius to keep:
    with ``radius="init"`` it is never projected and trains freely, and ``init`` warns
    (outside ``jit``). To project it, give a number as its radius; the mask must also
    select it. A norm that is zero or not finite leaves the update as it is (to the
    rounding of :math:`W + u`), so NaN and infinity reach ``optax.apply_if_finite`` and
    never enter this state.

    **Every k-th step.** With ``every=k > 1`` the norm is restored at the *start* of
    updates 0, k, 2k, … and moves freely in between. Such an update is added to the
    restored weights, but its gradients were taken before the restoration.
    (Deciding from the incoming weights alone costs one reduction per k steps; deciding
    from the updates would force all of them through memory at every step.)
    With ``every=1`` the weights are on the sphere after each update.

    Args:
      radius: ``"init"``, a positive number, or a tree of them (or a prefix of the
        parameters' tree). Numbers may be traced.
      granularity: the axes over which a norm is taken: ``"leaf"`` (all), ``"unit"``
        (all but the last, so one norm for each output unit in Flax's layout), or a
        tuple of axes (``(1, 2)`` for a stack of matrices, ``(-1,)`` for the rows of an
        embedding). Also a tree of these, a prefix of one, or a function from parameters
        to such a tree, such as one made by :func:`nap_optax.masks.by_path`.
      mask: which leaves to project: a tree of booleans, a prefix of one, or a function
        from the parameters to one. Default: floating-point leaves with two or more
        dimensions that are not named ``scale`` or ``bias``
        (:func:`nap_optax.masks.matrices`), and the members of groups.
      groups: leaves that have one norm together: a tree with the same string or integer
        for the members of a group and ``None`` for the others, or a function from
        parameters to such a tree, such as one made by :func:`nap_optax.masks.by_path`
        or :func:`nap_optax.masks.siblings`.
      layer_axes: the axes of a leaf that enumerate layers, if ``nn.scan``, ``nnx.scan``
        or ``nnx.vmap`` stacked equal layers into one leaf: an axis or a tuple of axes,
        ``()`` for none. Also a tree of these, a prefix of one, or a function from
        parameters to such a tree, such as one made by :func:`nap_optax.masks.by_path`.
        Each layer then has its own norm, as if it were a leaf; these axes do not count
        as dimensions, and ``granularity`` may not name them. Default: axes that Flax
        calls ``layers`` (:func:`nap_optax.masks.axes_named`).
      every: project at every k-th update. Static.

    Returns:
      A transformation whose ``update`` needs ``params``. Its state holds one scalar for
      each projected leaf (or unit).

    Raises:
      ValueError: if an argument is out of range or does not fit the parameters; in
        ``update`` if ``params`` is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("granularity", "mask", "groups", "layer_axes", "every")``.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import project_weights
      >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.ones(2)}
      >>> tx = optax.chain(optax.sgd(0.1), project_weights())
      >>> state = tx.init(params)
      >>> updates, state = tx.update(params, state, params)
      >>> new_params = optax.apply_updates(params, updates)
      >>> print(f"{jnp.linalg.norm(new_params['w']):.4f}")
      5.0000

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, equation 2

      Lyle et al., `Normalization and effective learning rates in reinforcement
      learning <https://arxiv.org/abs/2407.01800>`_, 2024
    """
    return _project_weights_as(
        "project_weights",
        radius,
        granularity=granularity,
        mask=mask,
        groups=groups,
        layer_axes=layer_axes,
        every=every,
    )


def _project_weights_as(
    name: str,
    radius: Any,
    *,
    groups: Any,
    every: int,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """Makes :func:`project_weights`, with the given name in its errors."""
    every = _checks.static_count("every", every)

    @_leaves.works_on_shapes
    def init_fn(params: optax.Params) -> ProjectWeightsState:
        targets = _targets.measure(
            params, radius=radius, groups=groups, name=name, **options
        )
        return ProjectWeightsState(
            projection_step=jnp.zeros([], jnp.int32),
            target_norm=_boxes.per_parameter(params, targets),
        )

    def update_fn(
        updates: optax.Updates,
        state: ProjectWeightsState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ProjectWeightsState]:
        del extra_args
        _checks.has_params(name, params)
        treedef: Any = jax.tree.structure(params)
        new = _leaves.updates_of(updates, params, "project_weights")
        targets = _boxes.leaves_at(params, state.target_norm)
        held = _held(params, new, targets, radius, groups)
        if every == 1:
            projected = _projected_updates(held)
        else:
            projected = _restored_updates(held, state.projection_step % every == 0)
        for leaf, update in zip(held, projected, strict=True):
            new[leaf.position] = update.astype(jnp.result_type(new[leaf.position]))
            targets[leaf.position] = leaf.target
        return jax.tree.unflatten(treedef, new), ProjectWeightsState(
            projection_step=optax.safe_increment(state.projection_step),
            target_norm=_boxes.per_parameter(params, targets),
        )

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


class _Leaf(NamedTuple):
    """A leaf that is projected in this update."""

    position: int  # among the leaves
    narrow_param: jax.Array  # in its own dtype
    update: jax.Array  # in float32 at least
    target: jax.Array
    label: Any  # of its group; None for no group

    @property
    def param(self) -> jax.Array:
        """The parameter in float32 at least, like the update."""
        return jnp.asarray(self.narrow_param, self.update.dtype)


def _held(
    params: optax.Params,
    updates: Sequence[Any],
    targets: Sequence[Any],
    radius: Any,
    groups: Any,
) -> list[_Leaf]:
    leaves = jax.tree.leaves(params)
    radii = _leaves.per_leaf(radius, params, "radius")
    labels = _targets.group_labels(groups, params)
    held = []
    for i, (target, update) in enumerate(zip(targets, updates, strict=True)):
        # Leaves that init left out stay out: the state remembers the mask.
        if isinstance(target, optax.MaskedNode):
            continue
        if update is None:
            if labels[i] is not None:
                raise ValueError(
                    f"groups={labels[i]!r}: a member has None for its update, but the "
                    "group is projected as one; take it out of the group"
                )
            continue
        dtype = _norms.norm_dtype(leaves[i])
        held.append(
            _Leaf(
                position=i,
                narrow_param=jnp.asarray(leaves[i]),
                update=jnp.asarray(update, dtype),
                target=_targets.current(target, radii[i]),
                label=labels[i],
            )
        )
    return held


def _projected_updates(held: Sequence[_Leaf]) -> list[jax.Array]:
    moved = [leaf.param + leaf.update for leaf in held]
    return [
        weights * factor - leaf.param
        for leaf, weights, factor in zip(
            held, moved, _factors(held, moved), strict=True
        )
    ]


def _restored_updates(held: Sequence[_Leaf], due: jax.Array) -> list[jax.Array]:
    # The factor of each leaf that, when `due`, restores its norm if leaf times factor
    # is added. Leaves are widened inside the branch; outside, all would be copied.
    def excess() -> list[jax.Array]:
        return [factor - 1 for factor in _factors(held, [leaf.param for leaf in held])]

    shapes = jax.eval_shape(excess)
    excesses = jax.lax.cond(due, excess, lambda: optax.tree.zeros_like(shapes))
    return [
        leaf.param * extra + leaf.update
        for leaf, extra in zip(held, excesses, strict=True)
    ]


def _factors(held: Sequence[_Leaf], weights: Sequence[jax.Array]) -> list[jax.Array]:
    """The factor of each leaf's weights that brings it or its group to its norm."""
    measured = [
        _norms.norm(w, _norms.axes_of(w.shape, leaf.target))
        for leaf, w in zip(held, weights, strict=True)
    ]
    measured = _targets.join(measured, [leaf.label for leaf in held])
    return [
        _norms.ratio(leaf.target, norm).astype(leaf.param.dtype)
        for leaf, norm in zip(held, measured, strict=True)
    ]
