r"""One coordinate of the weights: linear, given how examples respond to them.

.. math::

    w_i(t+1) = w_i(t) + \Delta t \Bigl[ \xi_i(t)
    + \sum_{s \le t, j} R_{ij}(t, s) \, w_j(s) + z_i(t) \, \beta \Bigr], \qquad
    \xi \sim \mathcal N(0, C_g / \nu),

with R and z the mean responses of g to a pre-activation and to the target's projection,
and C_g the mean of g g. So a weight is a linear function of its value at first, of β
and of independent normals ζ. Times and units share an axis, time first.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft.setting import Overlaps, Setting, initial_overlaps


class Responses(NamedTuple):
    """Mean responses and noise of g, by update."""

    to_weights: jax.Array  # (T N, T N) R, to earlier pre-activations and those now
    to_target: jax.Array  # (T N,)
    noise: jax.Array  # (T N, T N) lower triangular, a root of C_g


class Linear(NamedTuple):
    """The weights of every time as linear functions, minus their initial values."""

    memory: jax.Array  # ((T + 1) N, T N) of what was added to dw/dt before
    initial: jax.Array  # ((T + 1) N, N) of the weights at first
    target: jax.Array  # ((T + 1) N,) of β
    noise: jax.Array  # ((T + 1) N, T N) of ζ


def no_responses(num_steps: int, width: int) -> Responses:
    """Before the first update."""
    n = num_steps * width
    return Responses(jnp.zeros((n, n)), jnp.zeros(n), jnp.zeros((n, n)))


def no_change(num_steps: int, width: int) -> Linear:
    """At the first time."""
    n, times = num_steps * width, (num_steps + 1) * width
    return Linear(
        jnp.zeros((times, n)),
        jnp.zeros((times, width)),
        jnp.zeros(times),
        jnp.zeros((times, n)),
    )


def extend(
    linear: Linear, responses: Responses, time: jax.Array, setting: Setting
) -> Linear:
    """Makes an update, which adds the time after `time`."""
    width, step = setting.width, setting.time_step
    given = at(responses.to_weights, time, width)

    def after(values: jax.Array, source: jax.Array) -> jax.Array:
        gained = given @ values[: given.shape[1]] + source
        return put(values, at(values, time, width) + step * gained, time + 1)

    # At first the weights are themselves: what responds to them, to each time alike.
    of_first = jnp.sum(given.reshape(width, -1, width), axis=1)
    impulse = put(jnp.zeros(given.T.shape), jnp.eye(width) / step, time).T
    memory = after(linear.memory, impulse)
    return Linear(
        memory=memory,
        initial=after(linear.initial, of_first),
        target=after(linear.target, at(responses.to_target, time, width)),
        noise=put(
            linear.noise,
            step / jnp.sqrt(setting.nu) * at(memory, time + 1, width) @ responses.noise,
            time + 1,
        ),
    )


def overlaps_at(linear: Linear, time: jax.Array, setting: Setting) -> Overlaps:
    """Overlaps of the units at a time."""
    carried, along, noise = (
        at(values, time, setting.width)
        for values in (linear.initial, linear.target, linear.noise)
    )
    overlaps = overlaps_of(carried, along, setting)
    return overlaps._replace(change=overlaps.change + noise @ noise.T)


def overlaps_of(carried: jax.Array, along: jax.Array, setting: Setting) -> Overlaps:
    """How units lie that have changed by a linear function and along β.

    Args:
      carried: of the weights at first, shape (N, N).
      along: β's coefficients, shape (N,).
      setting: of the network.
    """
    target, initial = initial_overlaps(setting)
    mixed = jnp.outer(carried @ target, along)
    change = carried @ initial @ carried.T + mixed + mixed.T
    return Overlaps(
        target=target,
        initial=initial,
        target_change=carried @ target + along,
        change_initial=carried @ initial + jnp.outer(along, target),
        change=change + jnp.outer(along, along),
    )


def at(values: jax.Array, time: jax.Array | int, width: int) -> jax.Array:
    """The rows of one time, shape (N, ...)."""
    return jax.lax.dynamic_slice_in_dim(values, time * width, width)


def put(values: jax.Array, rows: jax.Array, time: jax.Array | int) -> jax.Array:
    """The array, with these rows at one time."""
    return jax.lax.dynamic_update_slice_in_dim(values, rows, time * len(rows), 0)
