"""The optimizers of lazy networks: direction, decay, rate and projection."""

import jax
import jax.numpy as jnp
import optax

import nap_optax
from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.config import LAZY_RATES, LazyConfig
from models.lazy import lazy_learning_rate
from nap_optax import masks, schedules


def make_optimizer(
    config: LazyConfig, hyper: Hyperparameters, *, width: int
) -> optax.GradientTransformationExtraArgs:
    """What a config asks for.

    Args:
      config: its structure.
      hyper: its numbers.
      width: of the units that a network averages, else 1.
    """
    rate = hyper.learning_rate
    if config.optimizer in LAZY_RATES:
        rate = lazy_learning_rate(rate, hyper.alpha, width=width)
    parts = _direction(config, hyper)
    if config.tangential:
        parts.insert(0, optax.masked(tangential(), masks.matrices))
    if config.num_rewarms:
        parts.append(nap_optax.scale_by_rewarming(rewarmed(config, hyper, rate)))
    else:
        parts.append(optax.scale_by_learning_rate(rate))
    if config.project:
        parts.append(nap_optax.project_weights())
    if config.diagnose:
        parts.append(nap_optax.measure_elr())
    return optax.with_extra_args_support(optax.chain(*parts))


def rewarmed(
    config: LazyConfig, hyper: Hyperparameters, rate: float | jax.Array
) -> optax.Schedule:
    """The rate, with cycles above it after the delay."""
    cycle = (config.num_steps - config.delay_steps) // config.num_rewarms
    return schedules.delayed(
        schedules.cyclic(
            hyper.rewarm_factor * rate,
            cycle_steps=cycle,
            warmup_steps=cycle // 10,
            end_value=jnp.asarray(rate),
            num_cycles=config.num_rewarms,
        ),
        config.delay_steps,
        rate,
    )


def tangential() -> optax.GradientTransformation:
    r"""Removes from each gradient its part along the weights.

    .. math::

        g \leftarrow g - \frac{\langle g, w \rangle}{\lVert w \rVert^2} \, w

    At held norms, that part has no effect by itself. But an optimizer that normalises
    element by element turns a radial gradient into an update that is not radial.
    """

    def update_fn(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None
    ) -> tuple[optax.Updates, optax.OptState]:
        def along_the_sphere(grad: jax.Array, weights: jax.Array) -> jax.Array:
            square = jnp.vdot(weights, weights)
            share = jnp.vdot(grad, weights) / jnp.where(square > 0, square, 1)
            return grad - share * weights

        return jax.tree.map(along_the_sphere, updates, params), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update_fn)


def _direction(
    config: LazyConfig, hyper: Hyperparameters
) -> list[optax.GradientTransformation]:
    """The direction of an update, neither negated nor with a rate."""
    adam = optax.scale_by_adam(b2=hyper.adam_b2)
    match config.optimizer:
        case "gd":
            return [optax.identity()]
        case "momentum":
            return [optax.trace(hyper.momentum)]
        case "adam":
            return [adam]
        case "adamw":
            return [adam, optax.add_decayed_weights(hyper.weight_decay)]
