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
"""Tests for the projection in `project_weights.py`."""

from absl.testing import absltest
from absl.testing import parameterized
import jax
import jax.numpy as jnp
from optax._src import alias
from optax._src import combine
from optax._src import update
from optax.contrib import _project_weights
from optax.schedules import _inject
from optax.schedules import _schedule
import optax.tree


def _params(dtype=jnp.float32):
  return {
      'w': jnp.array([[3.0, 0.0], [0.0, 4.0]], dtype),
      'b': jnp.array([1.0, 2.0], dtype),
  }


def _norm(x):
  return jnp.linalg.norm(x.astype(jnp.float32))


class ProjectWeightsTest(parameterized.TestCase):

  def _step(self, opt, params, grads, state=None):
    state = opt.init(params) if state is None else state
    updates, state = jax.jit(opt.update)(grads, state, params)
    return update.apply_updates(params, updates), state

  @parameterized.product(
      radius=(None, 2.0),
      dtype=('float16', 'bfloat16', 'float32'),
  )
  def test_holds_the_norm(self, radius, dtype):
    params = _params(jnp.dtype(dtype))
    opt = combine.chain(
        alias.sgd(0.1), _project_weights.project_weights(radius)
    )
    state = opt.init(params)
    grads = jax.tree.map(jnp.ones_like, params)
    for _ in range(3):
      params, state = self._step(opt, params, grads, state)
    self.assertEqual(params['w'].dtype, jnp.dtype(dtype))
    self.assertAlmostEqual(
        float(_norm(params['w'])),
        radius or 5.0,
        delta=1e-6 if dtype == 'float32' else 2e-2,
    )

  def test_computed_by_hand(self):
    params = {'w': jnp.array([[3.0, 4.0]])}
    opt = _project_weights.project_weights()
    params, _ = self._step(opt, params, {'w': jnp.array([[3.0, 4.0]])})
    self.assertAlmostEqual(float(params['w'][0, 0]), 3.0, places=6)
    params, _ = self._step(opt, params, {'w': jnp.array([[-3.0, 0.0]])})
    self.assertAlmostEqual(float(params['w'][0, 1]), 5.0, places=6)

  def test_leaves_vectors_alone(self):
    params = _params()
    opt = _project_weights.project_weights()
    new_params, state = self._step(opt, params, params)
    self.assertEqual(list(new_params['b']), [2.0, 4.0])
    self.assertLen(jax.tree.leaves(state), 1)

  @parameterized.parameters(
      ({'w': False, 'b': True},),
      (lambda tree: {'w': False, 'b': True},),
  )
  def test_mask(self, mask):
    params = _params()
    opt = _project_weights.project_weights(mask=mask)
    new_params, _ = self._step(opt, params, params)
    self.assertAlmostEqual(float(_norm(new_params['w'])), 10.0, places=5)
    self.assertAlmostEqual(
        float(_norm(new_params['b'])), float(_norm(params['b'])), places=6
    )

  def test_a_zero_leaf_has_no_norm_to_hold(self):
    params = {'w': jnp.zeros((2, 2))}
    new_params, _ = self._step(
        _project_weights.project_weights(), params, {'w': jnp.ones((2, 2))}
    )
    self.assertAlmostEqual(float(_norm(new_params['w'])), 2.0, places=6)
    new_params, _ = self._step(
        _project_weights.project_weights(3.0), params, {'w': jnp.ones((2, 2))}
    )
    self.assertAlmostEqual(float(_norm(new_params['w'])), 3.0, places=6)

  def test_what_is_not_finite_stays_so(self):
    params = _params()
    grads = jax.tree.map(lambda p: jnp.full_like(p, jnp.nan), params)
    opt = _project_weights.project_weights()
    new_params, state = self._step(opt, params, grads)
    self.assertTrue(jnp.all(jnp.isnan(new_params['w'])))
    self.assertEqual(float(optax.tree.get(state, 'target_norm')['w']), 5.0)

  def test_the_radius_may_follow_a_schedule(self):
    params = _params()
    opt = _inject.inject_hyperparams(_project_weights.project_weights)(
        radius=_schedule.linear_schedule(1.0, 2.0, 2)
    )
    state = opt.init(params)
    for want in (1.0, 1.5, 2.0):
      params, state = self._step(opt, params, params, state)
      self.assertAlmostEqual(float(_norm(params['w'])), want, places=5)

  def test_needs_params(self):
    opt = _project_weights.project_weights()
    state = opt.init(_params())
    with self.assertRaisesRegex(ValueError, 'params'):
      opt.update(_params(), state)


if __name__ == '__main__':
  absltest.main()
