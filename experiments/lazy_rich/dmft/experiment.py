"""The theory as a run: solved at its start, and read step by step.

A step needs data of all earlier steps that are far larger than its own metrics. So a
continued run solves again, to the same bits, and needs no checkpoint of them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich.dmft import averages, online, solver
from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.dmft.setting import Setting
from experiments.lazy_rich.dmft.solver import Point

Curves = dict[str, jax.Array]
"""Curves by the name of a metric, shape (T + 1,)."""


class State(NamedTuple):
    """What changes from step to step."""

    step: jax.Array  # () int32


class Theory:
    """A member is a seed of the samples and the numbers of a setting."""

    has_convolutions = False
    compiler_options: Mapping[str, Any] = {}

    def __init__(self, config: Config):
        self.config = config

    def init(self, seed: jax.Array, hyper: Hyperparameters) -> tuple[State, Curves]:
        """Step 0, and the metrics of all steps."""
        return State(jnp.int32(0)), curves(jax.random.key(seed), self.config, hyper)

    def step(self, state: State, hyper: Hyperparameters, fixed: Curves) -> State:
        """The next step."""
        return State(state.step + 1)

    def evaluate(
        self, state: State, hyper: Hyperparameters, fixed: Curves
    ) -> tuple[State, dict[str, jax.Array]]:
        """The metrics of a step."""
        return state, {name: values[state.step] for name, values in fixed.items()}


def setting_of(config: Config, hyper: Hyperparameters) -> Setting:
    """The numbers of a setting; some may be traced."""
    return Setting(
        nu=hyper.nu,
        alpha=hyper.alpha,
        epsilon=hyper.epsilon,
        time_step=hyper.time_step,
        overlaps=jnp.asarray(config.overlaps),
        power=hyper.power,
    )


def curves(key: jax.Array, config: Config, hyper: Hyperparameters) -> Curves:
    """All metrics of all times: means over replicas, and some standard errors.

    Args:
      key: of the samples.
      config: of the run.
      hyper: its numbers, by attribute; a config has them as well.
    """
    setting = setting_of(config, hyper)

    def replica(key: jax.Array) -> Curves:
        return _metrics(
            solver.solve(
                key,
                setting,
                num_steps=config.num_steps,
                num_samples=config.num_samples,
                center=config.center,
            ),
            setting,
        )

    # One after the other, because the theory needs much memory.
    found = jax.lax.map(replica, jax.random.split(key, config.num_replicas))
    measured = {name: jnp.mean(values, axis=0) for name, values in found.items()}
    for name in ("train_loss", "test_loss", "gap"):
        spread = jnp.std(found[name], axis=0, ddof=1)
        measured[f"{name}_error"] = spread / config.num_replicas**0.5
    limit = online.solve(setting, num_steps=config.num_steps, center=config.center)
    return measured | {"online_loss": limit.loss}


def _metrics(point: Point, setting: Setting) -> Curves:
    overlaps = point.overlaps
    change, crossed, initial = (
        jnp.trace(values, axis1=-2, axis2=-1)
        for values in (overlaps.change, overlaps.change_initial, overlaps.initial)
    )
    along = overlaps.target + overlaps.target_change
    return {
        "train_loss": point.train_loss,
        "test_loss": point.test_loss,
        "gap": point.test_loss - point.train_loss,
        "leading_gap": point.leading_gap,
        "test_variance": point.terms.variance,
        "test_misalignment": point.terms.misalignment,
        "test_linear": point.terms.linear,
        "target_overlap": jnp.mean(jnp.square(along), axis=-1),
        "kernel_alignment_scaled": jax.vmap(
            lambda own: averages.scaled_alignment(own, setting)
        )(overlaps),
        "weight_norm_ratio": jnp.sqrt(1 + (2 * crossed + change) / initial),
        "parameter_movement": jnp.sqrt(change / initial),
    }
