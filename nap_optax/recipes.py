"""Recipes: the transformations of this library chained as the papers use them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import (
    _boxes,
    _checks,
    _direction,
    _leaves,
    _norms,
    _order,
    _targets,
    detectors,
)
from nap_optax.projection import _project_weights_as, project_weights
from nap_optax.regularizers import _decay_scales_as
from nap_optax.rewarming import restart, scale_by_rewarming

__all__ = ["HyperballState", "hyperball", "nap"]


class HyperballState(NamedTuple):
    """State of :func:`hyperball`."""

    hyperball_inner_state: Any
    hyperball_rate_state: Any  # of scale_by_rewarming
    hyperball_projection_state: Any  # of project_weights: the norms, once for both uses


def nap(
    inner: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    *,
    detector: detectors.Detector | None = None,
    mask: Any = None,
    every: int = 1,
    radius: Any = "init",
    granularity: Any = "leaf",
    groups: Any = None,
    layer_axes: Any = None,
    scale_decay: float | jax.Array = 0.0,
    reset_inner: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Normalize-and-Project with re-warming: algorithm 1 in one call.

    Chains, in this order, ``inner``, :func:`nap_optax.decay_scales`,
    :func:`nap_optax.scale_by_rewarming` and :func:`nap_optax.project_weights`.

    .. warning::
        ``inner`` must be a preconditioner without negation and without learning rate,
        such as ``optax.scale_by_adam()``. An alias such as ``optax.adam(1e-3)`` has
        both: negated twice, it would *ascend*. ``init`` tries ``inner`` on a few tiny
        leaves and warns of it, outside ``jit``.

    Args:
      inner: gives the direction, for instance ``optax.scale_by_adam()`` or
        ``optax.identity()`` for gradient descent; clipping and weight decay may be
        chained into it.
      learning_rate: a number, or a schedule of the updates since the last re-warm.
      detector: raises alarms, at which the schedule starts again; with ``None``, only
        the caller raises them, by ``rewarm=True``.
      mask: which leaves to project; see :func:`nap_optax.project_weights`.
      every: project at every k-th update; see :func:`nap_optax.project_weights`.
      radius: the norm to hold; see :func:`nap_optax.project_weights`.
      granularity: over which axes; see :func:`nap_optax.project_weights`.
      groups: leaves with one norm together; see :func:`nap_optax.project_weights`.
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`.
      scale_decay: decay of the normalisation scales; see
        :func:`nap_optax.decay_scales`.
      reset_inner: whether ``inner``'s state starts again at each alarm; see
        :func:`nap_optax.restart`. (The paper leaves it open.)

    Returns:
      A transformation whose ``update`` needs ``params`` and takes ``value`` and
      ``rewarm``. With a constant rate and without ``reset_inner``, ``rewarm`` changes
      nothing.

    Raises:
      ValueError: as :func:`nap_optax.project_weights` and
        :func:`nap_optax.decay_scales`; if ``inner`` is no transformation or
        ``learning_rate`` is not a number of 0 or more; if a detector is given with a
        constant learning rate and without ``reset_inner``, so that alarms change
        nothing. Under ``optax.inject_hyperparams``, pass ``static_args`` with every
        argument but ``scale_decay`` and a numeric ``learning_rate``.

    Examples:
      >>> import jax, jax.numpy as jnp, optax
      >>> import nap_optax
      >>> schedule = nap_optax.schedules.warmup_constant(0.1, warmup_steps=2)
      >>> tx = nap_optax.nap(optax.scale_by_adam(), schedule)
      >>> params = {"w": jnp.array([[0.6, 0.8]])}
      >>> state = tx.init(params)
      >>> loss = lambda p: jnp.sum((p["w"] - jnp.array([[1.0, 0.0]])) ** 2)
      >>> for _ in range(20):
      ...     value, grads = jax.value_and_grad(loss)(params)
      ...     updates, state = tx.update(grads, state, params, value=value)
      ...     params = optax.apply_updates(params, updates)
      >>> print(f"{jnp.linalg.norm(params['w']):.3f}", bool(value < 0.1))
      1.000 True

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, algorithm 1
    """
    _checks.is_transformation("inner", inner)
    _checks.flag("reset_inner", reset_inner)
    if not reset_inner:
        _check_rewarmed(learning_rate, detector)
    warn_of_ascent = _direction.warns_of_ascent("nap", inner)
    chained = optax.with_extra_args_support(
        optax.chain(
            restart(inner, detector) if reset_inner else inner,
            _decay_scales_as("scale_decay", scale_decay),
            scale_by_rewarming(_as_schedule(learning_rate), detector),
            project_weights(
                radius,
                granularity=granularity,
                mask=mask,
                groups=groups,
                layer_axes=layer_axes,
                every=every,
            ),
        )
    )

    def init_fn(params: optax.Params) -> optax.OptState:
        warn_of_ascent(params)
        return chained.init(params)

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        _checks.has_params("nap", params)
        _leaves.updates_of(updates, params, "nap")
        return chained.update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def hyperball(
    inner: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    *,
    detector: detectors.Detector | None = None,
    mask: Any = None,
    every: int = 1,
    radius: Any = "init",
    granularity: Any = "leaf",
    groups: Any = None,
    layer_axes: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Hyperball: holds the norms of each matrix's weights and of its updates.

    .. math::

        W \to R\, \mathrm{Norm}\bigl(W - \eta\, R\, \mathrm{Norm}(u)\bigr), \qquad
        R = \lVert W_0 \rVert_F, \quad \mathrm{Norm}(x) = x / \lVert x \rVert_F

    :func:`nap_optax.nap` fixes only the norm of the weights. Here the learning rate
    *is* the relative update (before the projection), whatever ``inner`` gives. Leaves
    that are not matrices descend by :math:`\eta u`. With Adam's direction this is
    AdamH, with Muon's (``optax.contrib.scale_by_muon``) it is MuonH.

    .. warning::
        ``inner`` must be a preconditioner without negation and without learning rate,
        as for :func:`nap_optax.nap`. With an alias such as ``optax.adam(1e-3)`` the
        loss would *ascend*. ``init`` warns of it, outside ``jit``.

    Args:
      inner: gives the direction, for instance ``optax.scale_by_adam()``.
      learning_rate: a number, or a schedule of the updates since the last re-warm.
      detector: raises alarms at which the schedule starts again; ``None`` leaves that
        to the caller's ``rewarm=True``.
      mask: which leaves are matrices; its default is that of
        :func:`nap_optax.project_weights`. The authors leave out embeddings and train
        the leaves left out at another rate: for that, use ``optax.partition``.
      every: project at every k-th update; see :func:`nap_optax.project_weights`.
        Updates are scaled to their norm at every update.
      radius: the norm :math:`R` of weights and updates; see
        :func:`nap_optax.project_weights`.
      granularity: over which axes both norms are taken; see
        :func:`nap_optax.project_weights`. With ``"unit"``, the learning rate is the
        relative update of each output unit.
      groups: leaves with one norm together; see :func:`nap_optax.project_weights`.
        Their updates also have one norm together; ``inner`` decides each member's
        share of it.
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`.

    Returns:
      A transformation whose ``update`` needs ``params`` and takes ``value`` and
      ``rewarm``. A leaf (or unit) that is zero at ``init`` has no norm to keep, unless
      ``radius`` is a number: it is treated as not selected, and ``init`` warns. An
      update that is zero, or whose norm is not finite, stays as it is.

    Raises:
      ValueError: as :func:`nap_optax.project_weights`; if ``inner`` is no
        transformation or ``learning_rate`` is not a number of 0 or more; if a detector
        is given with a constant learning rate, which re-warming cannot change. Under
        ``optax.inject_hyperparams``, pass ``static_args=("inner", "detector", "mask",
        "every", "granularity", "groups", "layer_axes")``, with ``"learning_rate"`` if
        that is a schedule.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import hyperball
      >>> tx = hyperball(optax.identity(), 0.75)
      >>> params = jnp.array([[5.0, 0.0]])
      >>> updates, _ = tx.update(jnp.array([[0.0, -0.1]]), tx.init(params), params)
      >>> print(optax.apply_updates(params, updates))
      [[4. 3.]]

    References:
      Wen et al., `Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball
      Optimization <https://arxiv.org/abs/2606.16899>`_, 2026
    """
    _checks.is_transformation("inner", inner)
    inner = optax.with_extra_args_support(inner)
    warn_of_ascent = _direction.warns_of_ascent("hyperball", inner)
    _check_rewarmed(learning_rate, detector)
    rate = scale_by_rewarming(_as_schedule(learning_rate), detector)
    projection = _project_weights_as(
        "hyperball",
        radius,
        granularity=granularity,
        mask=mask,
        groups=groups,
        layer_axes=layer_axes,
        every=every,
    )

    def init_fn(params: optax.Params) -> HyperballState:
        warn_of_ascent(params)
        return HyperballState(
            inner.init(params), rate.init(params), projection.init(params)
        )

    def update_fn(
        updates: optax.Updates,
        state: HyperballState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, HyperballState]:
        _checks.has_params("hyperball", params)
        _leaves.updates_of(updates, params, "hyperball")
        inner_state, rate_state, projection_state = state
        updates, inner_state = inner.update(updates, inner_state, params, **extra_args)
        updates = _to_norms(
            updates, params, projection_state.target_norm, radius, groups
        )
        updates, rate_state = rate.update(updates, rate_state, params, **extra_args)
        updates, projection_state = projection.update(updates, projection_state, params)
        return updates, HyperballState(inner_state, rate_state, projection_state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _to_norms(
    updates: optax.Updates, params: optax.Params, targets: Any, radius: Any, groups: Any
) -> optax.Updates:
    """Scales each update to the norm of its weights, if they have one to keep."""
    treedef: Any = jax.tree.structure(params)
    new, norms = treedef.flatten_up_to(updates), _boxes.leaves_at(params, targets)
    radii = _leaves.per_leaf(radius, params, "radius")
    labels = _targets.group_labels(groups, params)
    held = [
        i
        for i, (update, norm) in enumerate(zip(new, norms, strict=True))
        if update is not None and not isinstance(norm, optax.MaskedNode)
    ]
    own = [
        _norms.norm(_norms.widened(new[i]), _norms.axes_of(jnp.shape(new[i]), norms[i]))
        for i in held
    ]
    # If leaves are sharded, the norms of the projection make another message.
    joint = _targets.join(_order.together(own), [labels[i] for i in held])
    for i, norm in zip(held, joint, strict=True):
        target = _targets.current(norms[i], radii[i])
        new[i] = _norms.scaled(new[i], _norms.ratio(target, norm.astype(target.dtype)))
    return jax.tree.unflatten(treedef, new)


def _check_rewarmed(
    learning_rate: optax.ScalarOrSchedule, detector: detectors.Detector | None
) -> None:
    if detector is not None and not callable(learning_rate):
        raise ValueError(
            f"learning_rate={_checks.shown(learning_rate)}: re-warming a constant "
            "changes nothing; "
            'pass a schedule (under optax.inject_hyperparams, with "learning_rate" in '
            "static_args)"
        )


def _as_schedule(learning_rate: optax.ScalarOrSchedule) -> optax.Schedule:
    if callable(learning_rate):
        return _checks.schedule("learning_rate", learning_rate)
    _checks.finite("learning_rate", learning_rate, 0, besides=", or an optax.Schedule")
    return optax.constant_schedule(learning_rate)
