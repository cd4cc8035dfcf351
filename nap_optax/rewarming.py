"""Starts the learning-rate schedule, or an optimizer's state, again on an alarm."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, _leaves, _norms, _references, detectors

__all__ = [
    "RestartState",
    "ScaleByRewarmingState",
    "restart",
    "scale_by_rewarming",
]


class ScaleByRewarmingState(NamedTuple):
    """State of :func:`scale_by_rewarming`."""

    rewarming_step: jax.Array  # shape=(), dtype=int32: updates seen so far
    steps_since_rewarm: jax.Array  # shape=(), dtype=int32: 1 after a re-warming update
    num_rewarms: jax.Array  # shape=(), dtype=int32
    last_rewarm_step: jax.Array  # shape=(), dtype=int32: -1 before the first
    # shape=(), dtype=float: the rate last used. A record: setting it changes nothing.
    last_learning_rate: jax.Array
    rewarm_detector_state: Any


class RestartState(NamedTuple):
    """State of :func:`restart`."""

    restart_step: jax.Array  # shape=(), dtype=int32: updates seen so far
    num_restarts: jax.Array  # shape=(), dtype=int32
    restart_detector_state: Any
    restarted_state: Any  # the inner transformation's


def scale_by_rewarming(
    schedule: optax.Schedule,
    detector: detectors.Detector | None = None,
    *,
    flip_sign: bool = True,
) -> optax.GradientTransformationExtraArgs:
    r"""Scales updates by a schedule that starts again whenever an alarm is raised.

    .. math::

        u_t \to -\eta(t - t_{\text{rewarm}})\, u_t

    where :math:`t_{\text{rewarm}}` is the update of the last alarm, 0 before any.
    It replaces ``optax.scale_by_learning_rate``. Under
    :func:`nap_optax.project_weights` the effective learning rate follows the schedule,
    so restarting the schedule re-warms the effective learning rate.

    An alarm takes effect in the update that raises it, by ``rewarm=True`` or by a
    ``value`` at which the detector fires: that update is scaled by ``schedule(0)``.
    (Algorithm 1 of the paper checks after the update, which is the same rule seen from
    the next update.) The first update has nothing to re-warm, so none is counted.

    ``update`` takes two extra arguments. The detector reads ``value``: pass the global
    mean loss when training is data-parallel, so that all devices decide alike. With the
    boolean (or boolean array) ``rewarm`` the caller re-warms, whatever the detector
    says. Other arguments are ignored, because another transformation may read them, but
    ``update`` warns of a name close to ``rewarm``, such as ``rewarn``. A detector that
    reads ``value`` raises an error without it.

    .. note::
        ``optax.MultiSteps`` runs its inner transformation at each micro-step but keeps
        the result only of those that emit an update: alarms and values of the others
        are lost. Pass ``rewarm=True`` at a micro-step that emits.

    Args:
      schedule: the learning rate as a function of the updates since the last re-warm.
      detector: raises alarms; ``None`` is :func:`nap_optax.on_signal`.
      flip_sign: whether to negate, to descend, as ``optax.scale_by_learning_rate``.

    Returns:
      A transformation. ``optax.tree.get(state, "num_rewarms")`` reads its state; so do
      ``"last_rewarm_step"``, ``"steps_since_rewarm"`` and ``"last_learning_rate"``.
      To change the rate of a running state, make the schedule's numbers hyperparameters
      by ``optax.inject_hyperparams`` and set those.

    Raises:
      ValueError: if ``schedule`` is not callable. Under ``optax.inject_hyperparams``,
        pass ``static_args=("schedule", "detector", "flip_sign")``; otherwise it would
        replace the schedule by its value, and nothing would ever be re-warmed.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import scale_by_rewarming
      >>> tx = scale_by_rewarming(optax.exponential_decay(1.0, 1, 0.5))
      >>> state = tx.init(jnp.ones(2))
      >>> for rewarm in (False, False, True, False):
      ...     updates, state = tx.update(jnp.ones(2), state, rewarm=rewarm)
      ...     print(updates[0], end=" ")
      -1.0 -0.5 -1.0 -0.5
      >>> print(optax.tree.get(state, "num_rewarms"))
      1

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, algorithm 1
    """
    rate = _checks.schedule("schedule", schedule)
    detector = detectors.resolve(detector)
    _checks.flag("flip_sign", flip_sign)

    def init_fn(params: optax.Params) -> ScaleByRewarmingState:
        del params
        # One array for each field: a buffer can be donated only once.
        return ScaleByRewarmingState(
            rewarming_step=jnp.zeros([], jnp.int32),
            steps_since_rewarm=jnp.zeros([], jnp.int32),
            num_rewarms=jnp.zeros([], jnp.int32),
            last_rewarm_step=jnp.full([], -1, jnp.int32),
            last_learning_rate=rate(jnp.zeros([], jnp.int32)),
            rewarm_detector_state=detector.init(),
        )

    def update_fn(
        updates: optax.Updates,
        state: ScaleByRewarmingState,
        params: optax.Params | None = None,
        *,
        value: Any = None,
        rewarm: Any = False,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByRewarmingState]:
        _checks.warn_of_misspelt("rewarm", extra_args)
        if params is not None:
            _leaves.updates_of(updates, params, "scale_by_rewarming")
        step = state.rewarming_step
        detector_state, fired = detectors.observe(
            detector, state.rewarm_detector_state, step, value=value, signal=rewarm
        )
        steps_since_rewarm = jnp.where(fired, 0, state.steps_since_rewarm)
        learning_rate = rate(steps_since_rewarm)
        factor = -learning_rate if flip_sign else learning_rate
        updates = jax.tree.map(lambda u: _norms.scaled(u, factor), updates)
        return updates, ScaleByRewarmingState(
            rewarming_step=optax.safe_increment(step),
            steps_since_rewarm=optax.safe_increment(steps_since_rewarm),
            num_rewarms=state.num_rewarms + fired.astype(jnp.int32),
            last_rewarm_step=jnp.where(fired, step, state.last_rewarm_step),
            last_learning_rate=learning_rate,
            rewarm_detector_state=detector_state,
        )

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def restart(
    inner: optax.GradientTransformation,
    detector: detectors.Detector | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Starts an inner transformation's state again whenever an alarm is raised.

    This is meant for preconditioners, because their moments describe the data before
    the change. The update that raises the alarm already starts from the fresh state.
    Extra arguments also go to ``inner``. Alarms follow the rule of
    :func:`nap_optax.scale_by_rewarming`, so both act in the same update.

    **References stay** those of ``init``: the radii of
    :func:`nap_optax.project_weights`, the norms of :func:`nap_optax.hold_elr` and the
    weights of :func:`nap_optax.l2_init`. A transformation of another library that
    stores the first parameters would take the current ones for them.

    Args:
      inner: the transformation to restart.
      detector: raises alarms; ``None`` is :func:`nap_optax.on_signal`.

    Returns:
      A transformation whose ``update`` needs ``params`` and takes ``value`` and
      ``rewarm``.

    Raises:
      ValueError: if ``inner`` is no transformation; in ``update`` if ``params`` is
        missing.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import restart
      >>> tx = restart(optax.trace(decay=0.5))
      >>> params = jnp.zeros(1)
      >>> state = tx.init(params)
      >>> for rewarm in (False, False, True):
      ...     updates, state = tx.update(jnp.ones(1), state, params, rewarm=rewarm)
      ...     print(updates[0], end=" ")
      1.0 1.5 1.0
    """
    _checks.is_transformation("inner", inner)
    inner = optax.with_extra_args_support(inner)
    detector = detectors.resolve(detector)

    def init_fn(params: optax.Params) -> RestartState:
        return RestartState(
            restart_step=jnp.zeros([], jnp.int32),
            num_restarts=jnp.zeros([], jnp.int32),
            restart_detector_state=detector.init(),
            restarted_state=inner.init(params),
        )

    def update_fn(
        updates: optax.Updates,
        state: RestartState,
        params: optax.Params | None = None,
        *,
        value: Any = None,
        rewarm: Any = False,
        **extra_args: Any,
    ) -> tuple[optax.Updates, RestartState]:
        _checks.warn_of_misspelt("rewarm", extra_args)
        _checks.has_params("restart", params)
        _leaves.updates_of(updates, params, "restart")
        detector_state, fired = detectors.observe(
            detector,
            state.restart_detector_state,
            state.restart_step,
            value=value,
            signal=rewarm,
        )
        if value is not None:
            extra_args["value"] = value
        inner_state = jax.tree_util.tree_map_with_path(
            lambda path, fresh, old: (
                jnp.where(fired, fresh, old)
                if _is_array(old) and not _references.is_reference(path)
                else old
            ),
            inner.init(params),
            state.restarted_state,
        )
        updates, inner_state = inner.update(
            updates, inner_state, params, rewarm=rewarm, **extra_args
        )
        return updates, RestartState(
            restart_step=optax.safe_increment(state.restart_step),
            num_restarts=state.num_restarts + fired.astype(jnp.int32),
            restart_detector_state=detector_state,
            restarted_state=inner_state,
        )

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _is_array(leaf: Any) -> bool:
    """Whether a leaf is an array; a module may also keep functions, for instance."""
    return hasattr(leaf, "dtype")
