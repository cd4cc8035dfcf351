"""The theory at finite ν as the paper solves it: guess all times, sample, and repeat.

The iteration starts at the limit of many examples. It samples responses and noise given
the weights of all times, and takes a damped step to the resulting weights. It reaches
the solution that `solver` finds in one pass, and is here to check it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft import averages, basis, datum, linear, paths
from experiments.lazy_rich.dmft.datum import Samples
from experiments.lazy_rich.dmft.linear import Linear, Responses
from experiments.lazy_rich.dmft.setting import Setting, check_setting


class FixedPoint(NamedTuple):
    """The end of the iteration."""

    train_loss: jax.Array  # (T,)
    test_loss: jax.Array  # (T,)
    changes: jax.Array  # (iterations,) of the overlaps, at the most


def solve(
    key: jax.Array,
    setting: Setting,
    *,
    num_steps: int,
    num_samples: int,
    num_iterations: int,
    damping: float,
    center: bool,
) -> FixedPoint:
    """Iterates on the same samples.

    Args:
      key: of the samples.
      setting: of the network.
      num_steps: T.
      num_samples: S.
      num_iterations: from the limit of many examples on.
      damping: of the responses of an iteration, this share is taken on.
      center: whether the output is less that of the initial network.

    Raises:
      ValueError: as of `solver.solve`.
    """
    check_setting(setting)
    paths.require(num_steps, setting.width, num_samples)
    with jax.default_matmul_precision("highest"):
        samples = datum.draw_samples(
            key, setting, num_steps=num_steps, num_samples=num_samples
        )

        def iterate(responses: Responses, share: jax.Array) -> tuple:
            weights = _weights(responses, setting)
            losses, sampled = _sample(weights, samples, setting, center=center)
            mixed = jax.tree.map(
                lambda old, new: old + share * (new - old), responses, sampled
            )
            return mixed, (losses, _overlaps(weights, setting).now)

        start = linear.no_responses(num_steps, setting.width)
        # The first one has nothing to mix with.
        shares = jnp.full(num_iterations, damping).at[0].set(1)
        found: Any = jax.lax.scan(iterate, start, shares)[1]
    (train_losses, test_losses), overlaps = found
    changes = jnp.max(jnp.abs(jnp.diff(overlaps, axis=0)), axis=(1, 2, 3))
    return FixedPoint(train_losses[-1], test_losses[-1], changes)


def _weights(responses: Responses, setting: Setting) -> Linear:
    """The weights of all times."""
    num_steps = len(responses.to_target) // setting.width
    return jax.lax.fori_loop(
        0,
        num_steps,
        lambda time, own: linear.extend(own, responses, time, setting),
        linear.no_change(num_steps, setting.width),
    )


def _overlaps(weights: Linear, setting: Setting) -> linear.Overlaps:
    num_times = len(weights.target) // setting.width
    return jax.vmap(lambda time: linear.overlaps_at(weights, time, setting))(
        jnp.arange(num_times)
    )


def _sample(
    weights: Linear, samples: Samples, setting: Setting, *, center: bool
) -> tuple[tuple[jax.Array, jax.Array], Responses]:
    """Losses and mean responses of all times, without control variates."""
    width, num_samples = samples.initial.shape
    num_steps = len(samples.noise) // width

    def update(carry: tuple, time: jax.Array) -> tuple:
        before, axes, found = carry
        change = datum.unseen_change(samples, weights, time, width)
        kernel = datum.memory_kernel(weights, time, setting)
        change += kernel @ before
        now = datum.gradients(change, samples, setting, center=center)
        new = paths.row(found, kernel, now, time)
        axes, root = basis.extend(axes, now.gradients, time * width)
        mean = jnp.mean(new, axis=-1)
        overlaps = linear.overlaps_at(weights, time, setting)
        losses = (
            jnp.mean(jnp.square(now.residual)),
            averages.loss_terms(overlaps, setting, center=center).total,
        )
        after = (
            linear.put(before, now.gradients, time),
            axes,
            linear.put(found, new, time),
        )
        return after, (losses, mean, root)

    empty = jnp.zeros((num_steps * width, num_samples))
    start = (empty, empty, paths.no_paths(num_steps, width, num_samples))
    sampled: Any = jax.lax.scan(update, start, jnp.arange(num_steps))[1]
    losses, mean, root = sampled
    mean = mean.reshape(num_steps * width, -1)
    root = root.reshape(num_steps * width, -1)
    return losses, Responses(mean[:, 1:], mean[:, 0], root)
