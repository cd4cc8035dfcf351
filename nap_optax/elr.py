"""Effective learning rates, measured and nominal."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, norms

__all__ = [
    "MeasureElrState",
    "effective_learning_rate",
    "measure_elr",
    "nominal_effective_learning_rate",
]


class MeasureElrState(NamedTuple):
    """State of :func:`measure_elr`."""

    relative_update: Any  # per leaf, shape=(), dtype=float32 at least; 0 at init


def effective_learning_rate(updates: optax.Updates, params: optax.Params) -> Any:
    r"""The relative update of each leaf, :math:`\lVert\Delta w\rVert/\lVert w\rVert`.

    The effective learning rate as measured. It equals the nominal one
    (:func:`nominal_effective_learning_rate`) times the norm of the update before the
    learning rate: constant for sign and normalised descent, not for Adam.

    From optax 0.2.7 on, a chain may end with ::

        optax.monitor({"elr": optax.stateless(effective_learning_rate)})

    whose state has another structure after the first update, so that it does not fit
    ``lax.scan``. That of :func:`measure_elr` does. (``optax.snapshot`` shows a function
    the updates only, not the parameters that this needs.)

    Args:
      updates: the updates at the end of the chain.
      params: the parameters they will be added to.

    Returns:
      A tree of the structure of ``params``, of scalars in float32 at least: the ratio
      of Frobenius norms. 0 where the parameters are all zero and where a leaf's update
      is ``None``.

    Examples:
      >>> import jax.numpy as jnp
      >>> updates = {"w": jnp.array([[0.3, 0.0]]), "b": jnp.ones(2)}
      >>> params = {"w": jnp.array([[0.0, 3.0]]), "b": jnp.zeros(2)}
      >>> elr = effective_learning_rate(updates, params)
      >>> print(f"{elr['w']:.2f} {elr['b']:.2f}")
      0.10 0.00
    """

    def relative(param: Any, update: Any) -> jax.Array:
        # In the dtype of the parameter's norm: a state must not change its own.
        dtype = norms.norm_dtype(param)
        change = jnp.asarray(0 if update is None else update, dtype)
        return _over(norms.norm(change), norms.leaf_norm(param))

    return jax.tree.map(relative, params, updates)


def nominal_effective_learning_rate(
    learning_rate: float | jax.Array,
    params: optax.Params,
    *,
    power: float | jax.Array = 1,
) -> Any:
    r"""The learning rate over a power of each leaf's norm.

    What does not depend on the scale of :math:`w` changes at the learning rate
    :math:`\eta` as it would from :math:`w/\lVert w\rVert` at
    :math:`\eta/\lVert w\rVert^p`.

    Args:
      learning_rate: :math:`\eta`; may be traced.
      params: the parameters.
      power: 2 for gradient descent, 1 for updates that do not scale with the gradient
        (Adam, RMSProp, sign); may be traced.

    Returns:
      A tree of the structure of ``params``, of scalars in float32 at least; 0 where the
      parameters are all zero.

    Raises:
      ValueError: if an argument is not a number, or ``power`` not 0 or more.

    Examples:
      >>> import jax.numpy as jnp
      >>> params = {"w": jnp.array([[0.0, 4.0]])}
      >>> for power in (1, 2):
      ...     print(nominal_effective_learning_rate(0.8, params, power=power)["w"])
      0.2
      0.05

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 2 and equation 1
    """
    _checks.are_numbers(learning_rate=learning_rate)
    _checks.at_least(0, power=power)

    def nominal(param: Any) -> jax.Array:
        norm = norms.leaf_norm(param)
        rate, exponent = (jnp.asarray(x, norm.dtype) for x in (learning_rate, power))
        return _over(rate, norm**exponent)

    return jax.tree.map(nominal, params)


def measure_elr() -> optax.GradientTransformationExtraArgs:
    """Measures :func:`effective_learning_rate` and changes nothing.

    Place it last in the chain, behind the projection; it is a transformation of its own
    and not something to measure with ``optax.monitor``.

    Returns:
      A transformation whose ``update`` needs ``params``. Read what it measured by
      ``optax.tree.get(state, "relative_update")``.

    Raises:
      ValueError: in ``update`` if ``params`` is missing.

    Examples:
      >>> import jax.numpy as jnp, optax
      >>> from nap_optax import measure_elr, project_weights
      >>> tx = optax.chain(optax.sgd(0.1), project_weights(), measure_elr())
      >>> params = {"w": jnp.array([[3.0, 4.0]])}
      >>> _, state = tx.update({"w": jnp.array([[4.0, -3.0]])}, tx.init(params), params)
      >>> print(f"{optax.tree.get(state, 'relative_update')['w']:.4f}")
      0.0996
    """

    def init_fn(params: optax.Params) -> MeasureElrState:
        shapes = jax.eval_shape(effective_learning_rate, params, params)
        return MeasureElrState(relative_update=optax.tree.zeros_like(shapes))

    def update_fn(
        updates: optax.Updates,
        state: MeasureElrState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, MeasureElrState]:
        del state, extra_args
        _checks.has_params("measure_elr", params)
        return updates, MeasureElrState(effective_learning_rate(updates, params))

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _over(value: jax.Array, norm: jax.Array) -> jax.Array:
    zero = norm == 0
    return jnp.where(zero, 0, value / jnp.where(zero, 1, norm))
