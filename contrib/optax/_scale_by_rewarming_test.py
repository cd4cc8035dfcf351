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
"""Tests for the re-warming in `scale_by_rewarming.py`."""

from absl.testing import absltest
from absl.testing import parameterized
import jax
import jax.numpy as jnp
import numpy as np
from optax._src import combine
from optax._src import transform
from optax.contrib import _scale_by_rewarming
from optax.schedules import _schedule
import optax.tree

_HALVES = _schedule.exponential_decay(1.0, 1, 0.5)


def _rates(tx, signals):
  """The factor of each update, with a signal for each."""
  params = jnp.ones(2)
  state, update = tx.init(params), jax.jit(tx.update)
  factors = []
  for signal in signals:
    updates, state = update(params, state, params, rewarm=jnp.array(signal))
    factors.append(float(updates[0]))
  return factors, state


class ScaleByRewarmingTest(parameterized.TestCase):

  def test_starts_again_on_a_signal(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES)
    factors, state = _rates(tx, [False, False, True, False])
    self.assertSequenceEqual(factors, [-1.0, -0.5, -1.0, -0.5])
    self.assertEqual(state.num_rewarms, 1)
    self.assertEqual(state.last_learning_rate, 0.5)

  def test_starts_again_after_a_period(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES, period=2)
    factors, state = _rates(tx, [False] * 5)
    self.assertSequenceEqual(factors, [-1.0, -0.5, -1.0, -0.5, -1.0])
    self.assertEqual(state.num_rewarms, 2)

  def test_a_signal_starts_the_period_again(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES, period=3)
    factors, _ = _rates(tx, [False, False, True, False, False, False])
    self.assertSequenceEqual(factors, [-1.0, -0.5, -1.0, -0.5, -0.25, -1.0])

  def test_the_first_update_is_no_rewarm(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES)
    factors, state = _rates(tx, [True, False])
    self.assertSequenceEqual(factors, [-1.0, -0.5])
    self.assertEqual(state.num_rewarms, 0)

  def test_the_sign_is_kept_when_asked_for(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES, flip_sign=False)
    self.assertSequenceEqual(_rates(tx, [False, False])[0], [1.0, 0.5])

  def test_without_a_signal_it_is_the_schedule(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES)
    plain = transform.scale_by_schedule(lambda step: -_HALVES(step))
    params = jnp.ones(2)
    state, want_state = tx.init(params), plain.init(params)
    for _ in range(4):
      updates, state = tx.update(params, state)
      want, want_state = plain.update(params, want_state)
      np.testing.assert_allclose(updates, want)

  @parameterized.parameters('float16', 'bfloat16', 'float32')
  def test_updates_keep_their_dtype(self, dtype):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES)
    grads = jnp.ones(2, jnp.dtype(dtype))
    updates, _ = tx.update(grads, tx.init(grads))
    self.assertEqual(updates.dtype, grads.dtype)

  def test_the_signal_reaches_it_in_a_chain(self):
    tx = combine.chain(
        transform.scale_by_adam(),
        _scale_by_rewarming.scale_by_rewarming(_HALVES),
    )
    _, state = _rates(tx, [False, True, True])
    self.assertEqual(optax.tree.get(state, 'num_rewarms'), 2)

  def test_nothing_is_compiled_twice(self):
    tx = _scale_by_rewarming.scale_by_rewarming(_HALVES, period=2)
    grads = jnp.ones(2)
    state, update = tx.init(grads), jax.jit(tx.update)
    for signal in (False, True):
      _, state = update(grads, state, rewarm=jnp.array(signal))
    self.assertEqual(update._cache_size(), 1)


if __name__ == '__main__':
  absltest.main()
