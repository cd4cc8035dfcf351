"""The optimizers of the agents: direction, decay, rates and projection."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import nap_optax
from experiments.atari.config import Config
from experiments.harness import resets
from experiments.harness.members import Hyperparameters
from nap_optax import masks, schedules

OUTPUT_LAYERS = masks.by_path([(".*/output/.*", True), (".*", False)])
KERNELS = masks.by_path([(".*/kernel", True), (".*", False)])
"""The decaying leaves: all kernels, without noise."""
HELD = masks.by_path([(".*/output/.*", False), (".*/kernel", True), (".*", False)])
"""The projected leaves: the kernels of all layers but the last ones."""


def make_schedule(config: Config, hyper: Hyperparameters) -> optax.Schedule:
    """The learning rate as a function of the updates, or of those since a re-warm."""
    peak, low = hyper.learning_rate, hyper.low_learning_rate

    def cycles(cycle_updates: Any, num_cycles: int | None) -> optax.Schedule:
        return schedules.cyclic(
            peak,
            cycle_steps=cycle_updates,
            warmup_steps=config.warmup_fraction * cycle_updates,
            end_value=low,
            num_cycles=num_cycles,
        )

    match config.learning_rate_schedule:
        case "constant":
            schedule: optax.Schedule = lambda _: jnp.asarray(peak)  # noqa: E731
        case "cyclic":
            schedule = cycles(hyper.cycle_updates, None)
        case "one_cycle":
            schedule = cycles(config.num_updates, 1)
        case "cusum":
            schedule = cycles(hyper.cycle_updates, 1)
    return lambda count: jnp.where(count < hyper.stop_updates, schedule(count), low)


def make_optimizer(
    config: Config, hyper: Hyperparameters
) -> optax.GradientTransformationExtraArgs:
    """Clipping, direction, decay, rates and projection, in this order; then measures.

    Its `value` is the TD error. On Atari, `measures` says whether the relative updates
    of this update are wanted; otherwise their last measurement stays.
    """
    switches = config.switches
    is_cusum = config.learning_rate_schedule == "cusum"
    return optax.chain(
        clip_by_global_norm(switches.max_grad_norm)
        if switches.max_grad_norm != float("inf")
        else optax.identity(),
        _adam(config),
        optax.add_decayed_weights(hyper.weight_decay, mask=KERNELS),
        nap_optax.scale_by_rewarming(
            make_schedule(config, hyper), nap_optax.cusum() if is_cusum else None
        ),
        nap_optax.project_weights(mask=HELD) if config.project else optax.identity(),
        _measured(on_demand=config.suite == "ale"),
    )


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm`, by a factor for all leaves.

    A division of each element is so costly that XLA writes down what it gives, where
    both of Adam's moments can multiply while they read: on a CPU an update of Rainbow
    takes .93 times as long.
    """

    def update_fn(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        factor = jnp.minimum(1, max_norm / optax.tree.norm(updates))
        return optax.tree.scale(factor, updates), state

    return optax.GradientTransformation(optax.init_empty_state, update_fn)


def _measured(*, on_demand: bool) -> optax.GradientTransformationExtraArgs:
    """`measure_elr`; on demand, only in updates whose `measures` is true.

    Its updates are then stored as arrays. Otherwise XLA may compute Adam's updates
    twice: for their norms, and to apply them. Rainbow's optimizer by itself then takes
    33 ms on a CPU, instead of 16.
    """
    measure = nap_optax.measure_elr()
    if not on_demand:
        return measure

    def update_fn(
        updates: Any, state: Any, params: Any = None, *, measures: Any, **extra: Any
    ) -> tuple[Any, Any]:
        del extra
        there = jax.lax.optimization_barrier(updates)
        state = jax.lax.cond(
            measures,
            lambda: measure.update(there, state, params)[1],
            lambda: state,
        )
        return there, state

    return optax.GradientTransformationExtraArgs(measure.init, update_fn)


def _adam(config: Config) -> optax.GradientTransformation:
    """Adam, which begins again where weights are reset."""
    adam = optax.scale_by_adam(eps=config.switches.adam_eps)
    match config.reset:
        case "none":
            return adam
        case "full":
            return nap_optax.restart(adam, nap_optax.every(config.reset_updates))
        case "last_layers":
            return resets.restart(adam, config.reset_updates, OUTPUT_LAYERS)
