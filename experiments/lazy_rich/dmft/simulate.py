"""Gradient descent of a finite network, to compare with the theory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft import averages
from experiments.lazy_rich.dmft.setting import Overlaps, Setting, part_beside_target
from experiments.lazy_rich.polynomial.task import targets_of
from models.lazy import lazy_learning_rate


class Simulated(NamedTuple):
    """Losses of all times, each shape (T + 1,)."""

    train_loss: jax.Array
    test_loss: jax.Array  # over all inputs, in closed form


def simulate(
    key: jax.Array,
    setting: Setting,
    *,
    dimension: int,
    num_train: int,
    num_steps: int,
    center: bool,
) -> Simulated:
    """Trains a network whose units lie as the setting says, to the last digit.

    Args:
      key: of the examples and of the directions of the units.
      setting: of the theory; its ν is not read.
      dimension: D.
      num_train: P, for a ν of P / D.
      num_steps: T.
      center: whether the output is less that of the initial network.
    """
    inputs_key, units_key = jax.random.split(key)
    inputs = jax.random.normal(inputs_key, (num_train, dimension)) / dimension**0.5
    direction, initial = units(units_key, setting, dimension)
    targets = targets_of(inputs, direction[None])
    rate = lazy_learning_rate(
        setting.time_step * dimension / 2, setting.alpha, width=setting.width
    )

    def output(weights: jax.Array) -> jax.Array:
        hidden = inputs @ weights.T
        units = hidden + setting.epsilon / 2 * jnp.square(hidden)
        return setting.alpha * jnp.mean(units, axis=1)

    def loss(weights: jax.Array) -> jax.Array:
        first = output(initial) if center else 0
        return jnp.mean(jnp.square(targets - (output(weights) - first)))

    def update(weights: jax.Array, _: None) -> tuple[jax.Array, Simulated]:
        value, gradient = jax.value_and_grad(loss)(weights)
        overlaps = measured(weights, initial, direction)
        terms = averages.loss_terms(overlaps, setting, center=center)
        return weights - rate * gradient, Simulated(value, terms.total)

    with jax.default_matmul_precision("highest"):
        return jax.lax.scan(update, initial, length=num_steps + 1)[1]


def units(
    key: jax.Array, setting: Setting, dimension: int
) -> tuple[jax.Array, jax.Array]:
    """The target's direction, shape (D,), and weights (N, D), with exact overlaps."""
    drawn = jax.random.normal(key, (dimension, 1 + setting.width))
    axes = dimension**0.5 * jnp.linalg.qr(drawn)[0].T
    along = jnp.outer(setting.overlaps, axes[0])
    return axes[0], along + part_beside_target(setting) @ axes[1:]


def measured(weights: jax.Array, initial: jax.Array, direction: jax.Array) -> Overlaps:
    """Measured overlaps of the units."""
    change, dimension = weights - initial, len(direction)
    return Overlaps(
        target=initial @ direction / dimension,
        initial=initial @ initial.T / dimension,
        target_change=change @ direction / dimension,
        change_initial=change @ initial.T / dimension,
        change=change @ change.T / dimension,
    )
