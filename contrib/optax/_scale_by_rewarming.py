# Copyright 2026 The nap_optax authors. All Rights Reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
# ==============================================================================
"""Re-warming of the learning rate by a signal or a period.

A contributed implementation of the re-warming of "What Can Grokking Teach Us
About Learning Under Nonstationarity?" (https://arxiv.org/abs/2507.20057) by
Clare Lyle, Ghada Sokar, Razvan Pascanu, and András György.
"""

from typing import Any, NamedTuple, Optional

import jax
import jax.numpy as jnp
from optax._src import base
from optax._src import numerics


class ScaleByRewarmingState(NamedTuple):
  """State of the `GradientTransformation` returned by `scale_by_rewarming`.

  Attributes:
    rewarming_count: Updates so far: shape=(), int32.
    steps_since_rewarm: Updates since the last re-warm: shape=(), int32.
    num_rewarms: Re-warms so far: shape=(), int32.
    last_learning_rate: The rate of the last update: shape=().
  """

  rewarming_count: jax.typing.ArrayLike
  steps_since_rewarm: jax.typing.ArrayLike
  num_rewarms: jax.typing.ArrayLike
  last_learning_rate: jax.typing.ArrayLike


def scale_by_rewarming(
    schedule: base.Schedule,
    period: Optional[jax.typing.ArrayLike] = None,
    *,
    flip_sign: bool = True,
) -> base.GradientTransformationExtraArgs:
  """Scales by a learning rate schedule that starts again on a signal.

  The schedule is a function of the updates since the last re-warm. The update
  that re-warms is scaled by ``schedule(0)``. The first update has nothing to
  re-warm, so it is not counted as one.

  Args:
    schedule: The learning rate as a function of the updates since the last
      re-warm.
    period: Re-warm this many updates after the last re-warm. ``None`` leaves it
      to the caller.
    flip_sign: When True, update will have sign flipped, as in
      :func:`optax.scale_by_learning_rate`.

  Returns:
    The corresponding :class:`optax.GradientTransformationExtraArgs`. Its
    ``update`` takes the extra argument ``rewarm``, a boolean with which the
    caller re-warms whatever the period says.

  Examples:
    >>> import optax
    >>> import jax.numpy as jnp
    >>> schedule = optax.exponential_decay(1.0, 1, 0.5)
    >>> solver = optax.chain(
    ...     optax.scale_by_adam(), optax.contrib.scale_by_rewarming(schedule)
    ... )
    >>> params = jnp.ones(2)
    >>> opt_state = solver.init(params)
    >>> rates = []
    >>> for data_changed in (False, False, True, False):
    ...   updates, opt_state = solver.update(
    ...       jnp.ones(2), opt_state, params, rewarm=data_changed
    ...   )
    ...   rate = optax.tree.get(opt_state, 'last_learning_rate')
    ...   rates.append(float(rate))
    >>> print(rates)
    [1.0, 0.5, 1.0, 0.5]

  References:
    Lyle et al., `What Can Grokking Teach Us About Learning Under
    Nonstationarity? <https://arxiv.org/abs/2507.20057>`_, 2025

  .. note::
    :func:`optax.MultiSteps` keeps the state of those micro-steps only that emit
    an update. A signal at another is lost.
  """

  def rate_of(step):
    return jnp.asarray(schedule(step), dtype=jnp.float32)

  def init_fn(params):
    del params
    return ScaleByRewarmingState(
        rewarming_count=jnp.zeros([], jnp.int32),
        steps_since_rewarm=jnp.zeros([], jnp.int32),
        num_rewarms=jnp.zeros([], jnp.int32),
        last_learning_rate=rate_of(jnp.zeros([], jnp.int32)),
    )

  def update_fn(
      updates: Any,
      state: ScaleByRewarmingState,
      params: Any = None,
      *,
      rewarm: jax.typing.ArrayLike = False,
      **extra_args: Any,
  ):
    del params, extra_args
    fired = jnp.asarray(rewarm, dtype=bool)
    if period is not None:
      fired |= state.steps_since_rewarm >= jnp.asarray(period)
    fired &= state.rewarming_count > 0
    step = jnp.where(fired, 0, state.steps_since_rewarm)
    rate = rate_of(step)
    factor = -rate if flip_sign else rate
    # In float32: a rate in bfloat16 has three digits.
    updates = jax.tree.map(lambda u: (factor * u).astype(u.dtype), updates)
    return updates, ScaleByRewarmingState(
        rewarming_count=numerics.safe_increment(state.rewarming_count),
        steps_since_rewarm=numerics.safe_increment(step),
        num_rewarms=state.num_rewarms + fired.astype(jnp.int32),
        last_learning_rate=rate,
    )

  return base.GradientTransformationExtraArgs(init_fn, update_fn)
