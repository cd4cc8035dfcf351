r"""One training example: its pre-activations, and how its gradient responds to them.

What was added to the weights for an example comes back to its pre-activations,

.. math::

    h_i(t) = u_i(t) + \frac{\Delta t}{\nu} \sum_{s < t, j} M_{ij}(t, s) \, g_j(s),

with u and :math:`z = \beta \cdot x` jointly normal, as for an input that is not trained
on, and M the memory of the weights. So g is a function of u now and before; the
derivatives of each sample's path are exact and their mean is what the weights see.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft import averages
from experiments.lazy_rich.dmft.linear import Linear, at
from experiments.lazy_rich.dmft.setting import (
    Overlaps,
    Setting,
    initial_overlaps,
    part_beside_target,
)


class Samples(NamedTuple):
    """The draws of S examples."""

    target: jax.Array  # (S,) z, normal
    initial: jax.Array  # (N, S) pre-activations at first
    noise: jax.Array  # (T N, S) independent normals, ζ of `linear`


class Gradients(NamedTuple):
    """The gradients of an example at one time, and their responses."""

    residual: jax.Array  # (S,) target less output
    slopes: jax.Array  # (N, S) φ'
    gradients: jax.Array  # (N, S) g
    to_now: jax.Array  # (N, N, S) dg_i/dh_j
    to_target: jax.Array  # (N, S) dg_i/dz
    to_first: jax.Array  # (N, N, S) dg_i/dh_j(0) of the centred output, else 0


def draw_samples(
    key: jax.Array, setting: Setting, *, num_steps: int, num_samples: int
) -> Samples:
    """Draws S examples, with normal quantiles as targets."""
    shares = (jnp.arange(num_samples) + 0.5) / num_samples
    target = jax.scipy.stats.norm.ppf(shares)
    target /= jnp.sqrt(jnp.mean(jnp.square(target)))
    shape = ((num_steps + 1) * setting.width, num_samples)
    own, noise = jnp.split(jax.random.normal(key, shape), [setting.width])
    along = jnp.outer(initial_overlaps(setting)[0], target)
    return Samples(target, along + part_beside_target(setting) @ own, noise)


def unseen_change(
    samples: Samples, linear: Linear, time: jax.Array, width: int
) -> jax.Array:
    """Of pre-activations without what an example adds to them, shape (N, S)."""
    return (
        at(linear.initial, time, width) @ samples.initial
        + jnp.outer(at(linear.target, time, width), samples.target)
        + at(linear.noise, time, width) @ samples.noise
    )


def gradients(
    change: jax.Array, samples: Samples, setting: Setting, *, center: bool
) -> Gradients:
    """Gradients of examples after this change of their pre-activations, (N, S)."""
    epsilon, width = setting.epsilon, setting.width
    first = samples.initial
    # Without the difference of two outputs, which is small where training is lazy.
    gained = change + epsilon * change * (first + change / 2)
    if not center:
        gained += first + epsilon / 2 * jnp.square(first)
    output = setting.alpha * jnp.mean(gained, axis=0)
    residual = jnp.square(samples.target) / 2 - output
    slopes = 1 + epsilon * (first + change)
    first_slopes = (1 + epsilon * first) * center
    own = epsilon / setting.alpha * residual[None, None] * jnp.eye(width)[..., None]
    return Gradients(
        residual=residual,
        slopes=slopes,
        gradients=residual[None] * slopes / setting.alpha,
        to_now=own - slopes[:, None] * slopes[None] / width,
        to_target=samples.target[None] * slopes / setting.alpha,
        to_first=slopes[:, None] * first_slopes[None] / width,
    )


class Means(NamedTuple):
    """Means over examples, for which normals without memory are a control."""

    loss: jax.Array  # ()
    to_now: jax.Array  # (N, N)
    to_target: jax.Array  # (N,)
    to_first: jax.Array  # (N, N)


def means(
    seen: Gradients,
    unseen: Gradients,
    overlaps: Overlaps,
    setting: Setting,
    *,
    center: bool,
) -> Means:
    """Mean loss and responses of examples, from samples, with control variates.

    Args:
      seen: of examples that are trained on.
      unseen: of the same samples without memory, whose means are known.
      overlaps: now.
      setting: of the network.
      center: whether the output is less that of the initial network.
    """
    known = Means(
        averages.loss_terms(overlaps, setting, center=center).total,
        averages.mean_response(overlaps, setting, center=center),
        averages.mean_target_response(overlaps, setting),
        averages.mean_initial_response(overlaps, setting) * center,
    )
    sampled, controls = (
        Means(jnp.square(own.residual), own.to_now, own.to_target, own.to_first)
        for own in (seen, unseen)
    )
    return Means(*map(_controlled, sampled, controls, known))


def _controlled(values: jax.Array, controls: jax.Array, known: jax.Array) -> jax.Array:
    """The mean over the last axis, given the mean of controls.

    A coefficient beyond 0 and 1 is noise, because values vary less with memory.
    """
    mean, control = jnp.mean(values, axis=-1), jnp.mean(controls, axis=-1)
    deviations = controls - control[..., None]
    covariance = jnp.mean((values - mean[..., None]) * deviations, axis=-1)
    variance = jnp.mean(jnp.square(deviations), axis=-1)
    share = covariance / jnp.maximum(variance, jnp.finfo(variance.dtype).tiny)
    return mean - jnp.clip(share, 0, 1) * (control - known)


def memory_kernel(linear: Linear, time: jax.Array, setting: Setting) -> jax.Array:
    """Of the gradients before in the pre-activations of one time, shape (N, T N)."""
    memory = at(linear.memory, time, setting.width)
    return setting.time_step / setting.nu * memory
