"""The optimizers of the grokking runs: direction, decay, schedule and projection.

The config's `per_member` fields are traced, so one compilation serves all their values.
The fields that shape the program stay in the `Config`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import nap_optax
from experiments.grokking.config import Config
from experiments.harness.members import Hyperparameters
from nap_optax import masks, schedules

# With this factor, Muon's update has the root mean square of Adam's (Liu et al., "Muon
# is scalable for LLM training", https://arxiv.org/abs/2502.16982, 2025). So one rate
# serves Muon's matrices and Adam's tables and read-out.
MUON_RMS = 0.2
TABLES = ("token_embedding", "position_embedding")
READOUT = ("unembedding/",)
KEPT_BY_ADAM = TABLES + READOUT


def make_schedule(config: Config, hyper: Hyperparameters) -> optax.Schedule:
    """The learning rate as a function of the update, after the delay."""
    peak, low = hyper.learning_rate, hyper.low_learning_rate
    match config.schedule:
        case "constant":
            # Without a cool-down the fall would begin after the last update.
            schedule = schedules.warmup_stable_decay(
                peak,
                warmup_steps=hyper.warmup_steps,
                stable_steps=jnp.maximum(
                    hyper.cycle_steps - hyper.warmup_steps - hyper.cooldown_steps, 0
                ),
                cooldown_steps=hyper.cooldown_steps,
                end_value=low,
            )
        case "cosine":
            schedule = schedules.warmup_cosine_decay(
                peak,
                warmup_steps=hyper.warmup_steps,
                decay_steps=hyper.cycle_steps,
                end_value=low,
            )
        case "cyclic":
            schedule = schedules.cyclic(
                peak,
                cycle_steps=hyper.cycle_steps,
                warmup_steps=hyper.warmup_steps,
                end_value=low,
                num_cycles=config.num_cycles,
            )
    return schedules.delayed(schedule, hyper.delay_steps, low)


def make_optimizer(
    config: Config, hyper: Hyperparameters
) -> optax.GradientTransformationExtraArgs:
    """Chains direction, decay, schedule and projection, then measures."""
    decayed = None if config.optimizer == "adamw" else masks.matrices
    direction = optax.chain(
        _direction(config, hyper),
        optax.clip_by_block_rms(config.max_update_rms)
        if config.max_update_rms
        else optax.identity(),
        optax.add_decayed_weights(hyper.weight_decay, mask=decayed),
        nap_optax.decay_scales(hyper.scale_decay)
        if config.normalize
        else optax.identity(),
    )
    schedule = make_schedule(config, hyper)
    held = functools.partial(_held, config)
    if config.optimizer == "hyperball":
        return optax.chain(
            nap_optax.hyperball(direction, schedule, mask=held),
            nap_optax.measure_elr(),
        )
    return optax.chain(
        direction,
        nap_optax.scale_by_rewarming(schedule),
        nap_optax.limit_elr(config.max_elr) if config.max_elr else optax.identity(),
        nap_optax.project_weights(every=config.project_every, mask=held)
        if config.project
        else optax.identity(),
        nap_optax.measure_elr(),
    )


def _held(config: Config, params: Any) -> Any:
    """A mask of the projected leaves: all matrices but those the config leaves out."""
    left_out = (() if config.project_tables else TABLES) + (
        () if config.project_readout else READOUT
    )

    def held(path: Any, is_matrix: bool) -> bool:
        # No name starts with an entry of an empty tuple.
        return is_matrix and not masks.path_name(path).startswith(left_out)

    return jax.tree_util.tree_map_with_path(held, masks.matrices(params))


def _direction(config: Config, hyper: Hyperparameters) -> optax.GradientTransformation:
    """The direction of updates, not negated and without a rate."""
    adam = optax.scale_by_adam(b2=hyper.adam_b2, eps=hyper.adam_eps)
    match config.optimizer:
        case "sgd":
            return optax.identity()
        case "adam" | "adamw" | "hyperball":
            return adam
        case "grokfast":
            slow = scale_by_grokfast(config.grokfast_decay, config.grokfast_amplitude)
            return optax.chain(slow, adam)
        case "muon":
            # Optax has it only as a whole optimizer, which at rate 1 is the negated
            # direction.
            muon = optax.contrib.muon(
                1.0,
                consistent_rms=MUON_RMS,
                adam_b2=hyper.adam_b2,
                muon_weight_dimension_numbers=_muon_dimensions,
            )
            return optax.chain(muon, optax.scale(-1.0))


def _muon_dimensions(params: Any) -> Any:
    """Muon's dimensions of each leaf; None leaves the leaf to Adam."""

    def dimensions(path: Any, leaf: jax.Array) -> Any:
        name = masks.path_name(path)
        if leaf.ndim != 2 or name.startswith(KEPT_BY_ADAM):
            return None
        return optax.contrib.MuonDimensionNumbers()

    return jax.tree_util.tree_map_with_path(dimensions, params)


class ScaleByGrokfastState(NamedTuple):
    """State of `scale_by_grokfast`."""

    slow_grads: Any  # like the parameters: the running mean of the gradients


def scale_by_grokfast(decay: float, amplitude: float) -> optax.GradientTransformation:
    r"""Amplifies the slow part of the gradients, by an exponential moving average.

    .. math::

        \mu \to \alpha \mu + (1 - \alpha) g, \qquad g \to g + \lambda \mu

    It comes before the optimizer's own moments. The mean starts at zero.

    Args:
      decay: α, the decay of the mean.
      amplitude: λ, the factor of the mean.

    Returns:
      A gradient transformation.

    References:
      Lee et al., `Grokfast: Accelerated Grokking by Amplifying Slow Gradients
      <https://arxiv.org/abs/2405.20233>`_, 2024
    """

    def init_fn(params: optax.Params) -> optax.OptState:
        return ScaleByGrokfastState(optax.tree.zeros_like(params))

    def update_fn(
        updates: optax.Updates,
        state: ScaleByGrokfastState,
        params: optax.Params | None = None,
    ) -> tuple[optax.Updates, ScaleByGrokfastState]:
        del params
        slow = optax.tree.update_moment(updates, state.slow_grads, decay, 1)
        return optax.tree.add_scale(updates, amplitude, slow), ScaleByGrokfastState(
            slow
        )

    return optax.GradientTransformation(init_fn, update_fn)
