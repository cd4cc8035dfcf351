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
"""Projection of weights to fixed norms.

A contributed implementation of the projection of "Normalization and effective
learning rates in reinforcement learning" (https://arxiv.org/abs/2407.01800) by
Clare Lyle, Zeyu Zheng, Khimya Khetarpal, James Martens, Hado van Hasselt,
Razvan Pascanu, and Will Dabney.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

import jax
import jax.numpy as jnp
from optax._src import base
from optax._src import numerics
from optax.transforms import _masking


class ProjectWeightsState(NamedTuple):
  """State of the `GradientTransformation` returned by `project_weights`.

  Attributes:
    target_norm: For each projected leaf, the norm it is held at: shape=(),
      float32 at least. A `MaskedNode` for each other leaf.
  """

  target_norm: base.Params


def _promote(x: jax.typing.ArrayLike) -> jax.Array:
  # The squares of a norm overflow in float16 and lose digits in bfloat16.
  return jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))


def _norm(x: jax.Array) -> jax.Array:
  squared = jnp.sum(numerics.abs_sq(x))
  # The root has no derivative at zero, where it would be NaN in all it touches.
  is_zero = squared == 0
  return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squared)))


def _is_matrix(x: jax.typing.ArrayLike) -> bool:
  return jnp.ndim(x) >= 2 and jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def project_weights(
    radius: Optional[jax.typing.ArrayLike] = None,
    mask: Optional[Union[Any, Callable[[base.Params], Any]]] = None,
) -> base.GradientTransformationExtraArgs:
  r"""Projects weights back to a fixed norm after each update.

  For each selected leaf :math:`W` and update :math:`u`, the emitted update
  takes the weights to

  .. math::

    W + u \;\to\; \frac{r}{\lVert W + u \rVert_F} (W + u), \qquad
    r = \lVert W_0 \rVert_F \text{ by default.}

  Weights grow while a network trains, so that a learning rate means less and
  less to them. At a fixed norm the schedule alone says how fast they turn.

  Args:
    radius: The norm to hold each selected leaf at. ``None`` holds each at its
      norm at ``init``; a leaf that is zero then has no norm to hold, and is
      never projected.
    mask: A tree with same structure as (or a prefix of) the params PyTree, or a
      Callable that returns such a pytree given the params/updates. The leaves
      should be booleans, `True` for leaves/subtrees to project, and `False` for
      those to skip. ``None`` selects the floating-point leaves with two or more
      dimensions.

  Returns:
    The corresponding :class:`optax.GradientTransformationExtraArgs`, whose
    ``update`` needs ``params``.

  Examples:
    >>> import optax
    >>> import jax.numpy as jnp
    >>> params = {'w': jnp.array([[3.0, 0.0], [0.0, 4.0]]), 'b': jnp.ones(2)}
    >>> solver = optax.chain(optax.sgd(0.1), optax.contrib.project_weights())
    >>> opt_state = solver.init(params)
    >>> grads = {'w': jnp.ones((2, 2)), 'b': jnp.ones(2)}
    >>> updates, opt_state = solver.update(grads, opt_state, params)
    >>> params = optax.apply_updates(params, updates)
    >>> print(f"{jnp.linalg.norm(params['w']):.4f}")
    5.0000

  References:
    Lyle et al., `Normalization and effective learning rates in reinforcement
    learning <https://arxiv.org/abs/2407.01800>`_, 2024

    Lyle et al., `What Can Grokking Teach Us About Learning Under
    Nonstationarity? <https://arxiv.org/abs/2507.20057>`_, 2025

  .. warning::
    Must be the last transformation that changes updates: whatever rescales them
    afterwards takes the weights off the sphere.

  .. note::
    A norm that is zero or not finite leaves its update as it is, so that NaN
    and infinity stay visible to :func:`optax.apply_if_finite`.
  """

  def targets_of(norms):
    # The radius may change between updates, as under `inject_hyperparams`.
    if radius is None:
      return norms
    return jax.tree.map(lambda norm: jnp.full_like(norm, radius), norms)

  def init_fn(params):
    norms = jax.tree.map(lambda p: _norm(_promote(p)), params)
    return ProjectWeightsState(target_norm=targets_of(norms))

  def update_fn(updates, state, params=None):
    if params is None:
      raise ValueError(base.NO_PARAMS_MSG)
    targets = targets_of(state.target_norm)

    def project(update, param, target):
      weights = _promote(param)
      new_weights = weights + update.astype(weights.dtype)
      norm = _norm(new_weights)
      usable = (norm > 0) & jnp.isfinite(norm) & (target > 0)
      usable &= jnp.isfinite(target)
      factor = jnp.where(usable, target / jnp.where(usable, norm, 1), 1)
      new_weights = new_weights * factor.astype(weights.dtype)
      return (new_weights - weights).astype(update.dtype)

    updates = jax.tree.map(project, updates, params, targets)
    return updates, ProjectWeightsState(target_norm=targets)

  if mask is None:
    mask = lambda tree: jax.tree.map(_is_matrix, tree)
  return _masking.masked(base.GradientTransformation(init_fn, update_fn), mask)
