"""Whole recipes: the transformations of this library chained as the papers use them."""

from __future__ import annotations

from typing import Any

import jax
import optax

from nap_optax import detectors
from nap_optax.projection import project_weights
from nap_optax.regularizers import decay_scales
from nap_optax.rewarming import restart, scale_by_rewarming

__all__ = ["nap"]


def nap(
    inner: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    *,
    detector: detectors.Detector | None = None,
    mask: Any = None,
    every: int = 1,
    radius: Any = "init",
    granularity: Any = "leaf",
    scale_decay: float | jax.Array = 0.0,
    reset_inner: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Normalize-and-Project with re-warming: algorithm 1 in one call.

    Chains, in this order, ``inner``, :func:`nap_optax.decay_scales`,
    :func:`nap_optax.scale_by_rewarming` and :func:`nap_optax.project_weights`.

    .. warning::
        ``inner`` is a preconditioner that is not negated yet and has no learning rate,
        such as ``optax.scale_by_adam()``. An alias such as ``optax.adam(1e-3)`` has
        both already: negated twice, it would *ascend*, and nothing can notice it here.

    Args:
      inner: gives the direction, for instance ``optax.scale_by_adam()`` or
        ``optax.identity()`` for gradient descent; clipping and weight decay may be
        chained into it.
      learning_rate: a number, or a schedule of the updates since the last re-warm.
      detector: raises alarms at which the schedule starts again; ``None`` leaves that
        to the caller's ``rewarm=True``.
      mask: which leaves to project; see :func:`nap_optax.project_weights`.
      every: project at every k-th update; see :func:`nap_optax.project_weights`.
      radius: the norm to hold; see :func:`nap_optax.project_weights`.
      granularity: over which axes; see :func:`nap_optax.project_weights`.
      scale_decay: decay of the normalisation scales; see
        :func:`nap_optax.decay_scales`.
      reset_inner: start ``inner``'s state again at each alarm; see
        :func:`nap_optax.restart`. (The paper leaves it open.)

    Returns:
      A transformation whose ``update`` needs ``params`` and takes ``value`` and
      ``rewarm``.

    Raises:
      ValueError: if a detector is given with a constant learning rate, which re-warming
        cannot change, and ``reset_inner`` is false. Under
        ``optax.inject_hyperparams``, pass ``static_args`` with every argument but
        ``scale_decay`` and a numeric ``learning_rate``.

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
    if detector is not None and not callable(learning_rate) and not reset_inner:
        raise ValueError(
            f"learning_rate={learning_rate!r}: re-warming a constant changes nothing; "
            'pass a schedule (under optax.inject_hyperparams, with "learning_rate" in '
            "static_args)"
        )
    schedule = (
        learning_rate
        if callable(learning_rate)
        else optax.constant_schedule(learning_rate)
    )
    return optax.with_extra_args_support(
        optax.chain(
            restart(inner, detector) if reset_inner else inner,
            decay_scales(scale_decay),
            scale_by_rewarming(schedule, detector),
            project_weights(radius, granularity=granularity, mask=mask, every=every),
        )
    )
