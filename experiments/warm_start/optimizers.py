"""The optimizers of the warm-start runs, including remedies from other papers."""

from typing import Any

import optax

import nap_optax
from experiments.harness import resets
from experiments.harness.members import Hyperparameters
from experiments.warm_start.config import NUM_CYCLES, RESET_METHODS, Config
from nap_optax import masks, schedules

OUTPUT_LAYER = masks.by_path([("logits/.*", True), (".*", False)])


def make_schedule(config: Config, hyper: Hyperparameters) -> optax.Schedule:
    """The learning rate as a function of the updates since the last re-warm."""

    def cycles(period: int, num_cycles: int, growth: Any = 1.0) -> optax.Schedule:
        return schedules.growing_cycles(
            hyper.learning_rate,
            growth=growth,
            cycle_steps=period,
            warmup_steps=config.warmup_fraction * period,
            end_value=hyper.low_learning_rate,
            num_cycles=num_cycles,
        )

    match config.schedule:
        case "aligned" | "cusum":
            return cycles(config.phase_steps, 1)
        case "single_cycle":
            return cycles(config.num_steps, 1)
        case "five_cycles":
            return cycles(max(config.num_steps // NUM_CYCLES, 1), NUM_CYCLES)
        case "growing":
            return cycles(config.phase_steps, config.num_phases, hyper.growth)


def rewarms_with_data(config: Config) -> bool:
    """Whether the experiment itself re-warms when data arrive (algorithm 1)."""
    return config.schedule == "aligned"


def make_optimizer(
    config: Config, hyper: Hyperparameters
) -> optax.GradientTransformationExtraArgs:
    """Chains direction, decay, rates and projection, then measures."""
    detector = nap_optax.cusum() if config.schedule == "cusum" else None
    strength = hyper.method_strength
    return optax.chain(
        _loss_term(config, strength),
        _adam(config),
        optax.add_decayed_weights(strength, mask=masks.matrices)
        if config.method == "weight_decay"
        else optax.identity(),
        _layer_rates(config),
        nap_optax.scale_by_rewarming(make_schedule(config, hyper), detector),
        nap_optax.clip_weights(strength)
        if config.method == "weight_clipping"
        else optax.identity(),
        nap_optax.project_weights() if config.project else optax.identity(),
        nap_optax.measure_elr(),
    )


def change_weights(
    config: Config, hyper: Hyperparameters, params: Any, fresh_params: Any
) -> Any:
    """Applies the method to the weights when data arrive.

    Adam's memory of what is reset begins again by itself: see `_adam`.
    """
    match config.method:
        case "shrink_and_perturb":
            shrink = hyper.method_strength
            return nap_optax.shrink_and_perturb(
                params, fresh_params, shrink=shrink, perturb=1 - shrink
            )
        case "full_reset":
            return fresh_params
        case "last_layer_reset":
            return resets.replace(params, fresh_params, OUTPUT_LAYER)
        case _:
            return params


def changes_weights(config: Config) -> bool:
    """Whether the method changes weights when data arrive."""
    return config.method in RESET_METHODS


def _loss_term(config: Config, strength: Any) -> optax.GradientTransformation:
    match config.method:
        case "l2_init":
            return nap_optax.l2_init(strength)
        case "spectral":
            return nap_optax.spectral_regularization(strength)
        case _:
            return optax.identity()


def _adam(config: Config) -> optax.GradientTransformation:
    """Adam, which begins again where weights are reset."""
    adam = optax.scale_by_adam()
    match config.method:
        case "full_reset":
            return nap_optax.restart(adam, nap_optax.every(config.phase_steps))
        case "last_layer_reset":
            return resets.restart(adam, config.phase_steps, OUTPUT_LAYER)
        case _:
            return adam


def _layer_rates(config: Config) -> optax.GradientTransformation:
    match config.layer_rates:
        case "constant":
            return optax.identity()
        case "fast_features":
            return nap_optax.fast_features(OUTPUT_LAYER)
        case "slow_features":
            return nap_optax.slow_features(OUTPUT_LAYER)
        case "even_ratio":
            return nap_optax.even_ratio()
