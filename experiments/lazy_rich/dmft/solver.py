r"""The theory at finite ν in one pass, because nothing depends on the future.

Each update needs means over training examples of all earlier gradients. They are taken
over samples of one example's path (`datum`, `paths`). Its normals are drawn when the
weights need them (`linear`), and it extends the weights by one time. The steps are
those of gradient descent itself, not of its flow.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft import averages, basis, datum, linear, paths
from experiments.lazy_rich.dmft.datum import Gradients, Means, Samples
from experiments.lazy_rich.dmft.linear import Linear, Responses
from experiments.lazy_rich.dmft.setting import Overlaps, Setting, check_setting
from experiments.lazy_rich.polynomial.theory import LossTerms


class Point(NamedTuple):
    """Results of the theory at one time; in a curve, at T + 1 times."""

    train_loss: jax.Array
    terms: LossTerms
    """Terms of the test loss."""
    leading_gap: jax.Array
    """Test loss minus training loss, to first order in 1 / nu."""
    overlaps: Overlaps

    @property
    def test_loss(self) -> jax.Array:
        """The mean squared error over all inputs."""
        return self.terms.total


class _Carry(NamedTuple):
    responses: Responses
    linear: Linear
    gradients: jax.Array  # (T N, S) of the times before, else 0
    basis: jax.Array  # (T N, S) of these
    paths: jax.Array  # (T N, 1 + T N, S)


class _Now(NamedTuple):
    point: Point
    seen: Gradients
    means: Means
    kernel: jax.Array  # (N, T N) memory
    covariance: jax.Array  # (N, T N) of g with g before


def solve(
    key: jax.Array,
    setting: Setting,
    *,
    num_steps: int,
    num_samples: int,
    center: bool,
) -> Point:
    """Losses and overlaps of all times, from 0 to `num_steps`.

    It needs `paths.num_bytes` of memory, and checks for this first. The noise of the
    samples is the difference between keys.

    Args:
      key: of the samples.
      setting: of the network.
      num_steps: T.
      num_samples: S.
      center: whether the output is less that of the initial network.

    Returns:
      A point; the times are the first axis of its arrays.

    Raises:
      ValueError: if the setting is not valid, or there is not enough memory.
    """
    check_setting(setting)
    width = setting.width
    paths.require(num_steps, width, num_samples)
    with jax.default_matmul_precision("highest"):
        samples = datum.draw_samples(
            key, setting, num_steps=num_steps, num_samples=num_samples
        )
        start = _Carry(
            linear.no_responses(num_steps, width),
            linear.no_change(num_steps, width),
            jnp.zeros((num_steps * width, num_samples)),
            jnp.zeros((num_steps * width, num_samples)),
            paths.no_paths(num_steps, width, num_samples),
        )

        def update(carry: _Carry, time: jax.Array) -> tuple[_Carry, Point]:
            now = _observe(carry, samples, time, setting, center=center)
            return _update(carry, now, time, setting), now.point

        end, curve = jax.lax.scan(update, start, jnp.arange(num_steps))
        last = _observe(end, samples, jnp.asarray(num_steps), setting, center=center)
        return jax.tree.map(
            lambda before, own: jnp.concatenate([before, own[None]]), curve, last.point
        )


def leading_gap(
    memory: jax.Array, covariance: jax.Array, setting: Setting
) -> jax.Array:
    r"""The test loss less the training loss, but for terms of order 1 / ν².

    .. math::

        \frac{2 \alpha^2}{N \nu} \sum_{s < t} \Delta t \sum_{ij} M_{ij}(t, s) \,
        \langle g_i(t) \, g_j(s) \rangle

    Args:
      memory: M of one time, shape (N, T N).
      covariance: of its g with those before, shape (N, T N).
      setting: of the network.
    """
    scale = 2 * setting.alpha**2 * setting.time_step / (setting.width * setting.nu)
    return scale * jnp.sum(memory * covariance)


def _observe(
    carry: _Carry,
    samples: Samples,
    time: jax.Array,
    setting: Setting,
    *,
    center: bool,
) -> _Now:
    """What examples do at a time, given all before."""
    width = setting.width
    overlaps = linear.overlaps_at(carry.linear, time, setting)
    change = datum.unseen_change(samples, carry.linear, time, width)
    kernel = datum.memory_kernel(carry.linear, time, setting)
    seen, unseen = (
        datum.gradients(own, samples, setting, center=center)
        for own in (change + kernel @ carry.gradients, change)
    )
    means = datum.means(seen, unseen, overlaps, setting, center=center)
    covariance = seen.gradients @ carry.gradients.T / len(samples.target)
    memory = linear.at(carry.linear.memory, time, width)
    point = Point(
        train_loss=means.loss,
        terms=averages.loss_terms(overlaps, setting, center=center),
        leading_gap=leading_gap(memory, covariance, setting),
        overlaps=overlaps,
    )
    return _Now(point, seen, means, kernel, covariance)


def _update(carry: _Carry, now: _Now, time: jax.Array, setting: Setting) -> _Carry:
    """Adds the responses of a time, and so the weights of the next."""
    seen, width = now.seen, setting.width
    found = paths.row(carry.paths, now.kernel, seen, time)
    to_target, to_weights = _mean_row(found, now, time)
    found_basis, root = basis.extend(carry.basis, seen.gradients, time * width)
    responses = Responses(
        linear.put(carry.responses.to_weights, to_weights, time),
        linear.put(carry.responses.to_target, to_target, time),
        linear.put(carry.responses.noise, root, time),
    )
    return _Carry(
        responses,
        linear.extend(carry.linear, responses, time, setting),
        linear.put(carry.gradients, seen.gradients, time),
        found_basis,
        linear.put(carry.paths, found, time),
    )


def _mean_row(found: jax.Array, now: _Now, time: jax.Array) -> Any:
    """Mean responses to z and to pre-activations, with what is known of them."""
    width, seen = len(found), now.seen
    mean = jnp.mean(found, axis=-1)
    to_target = mean[:, 0] + now.means.to_target - jnp.mean(seen.to_target, axis=-1)
    to_weights = mean[:, 1:]
    to_weights = to_weights.at[:, :width].add(
        now.means.to_first - jnp.mean(seen.to_first, axis=-1)
    )
    own = jnp.zeros_like(to_weights.T)
    own = linear.put(own, (now.means.to_now - jnp.mean(seen.to_now, axis=-1)).T, time)
    return to_target, to_weights + own.T
