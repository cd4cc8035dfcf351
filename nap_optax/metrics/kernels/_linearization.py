"""Linearization of a network in its parameters, and the distance these have moved."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import _checks, _leaves, _norms
from nap_optax.metrics.kernels._network import Apply, check_apply, floating_leaves

__all__ = ["linearize", "parameter_movement"]


def linearize(apply: Apply, params: Any) -> Apply:
    r"""Linearizes a network in its parameters, around given ones.

    .. math::

        f_\text{lin}(\theta, x) = f(\theta_0, x)
        + \frac{\partial f}{\partial \theta}(\theta_0, x) \, (\theta - \theta_0),

    the limit of lazy training, with a tangent kernel that never changes. It is trained
    like any other network; one evaluation costs about two of the network.

    Args:
      apply: the network, ``(params, inputs) -> outputs``.
      params: :math:`\theta_0`, any tree of parameters. Leaves that are not
        floating-point keep these values.

    Returns:
      A function like ``apply``, of parameters of the structure of ``params``.

    Raises:
      ValueError: if ``apply`` does not take two arguments or ``params`` have no
        floating-point leaf; from the returned function, if its parameters have another
        structure or shape.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import linearize
      >>> def apply(params, inputs):
      ...     return params["scale"] ** 2 * inputs
      >>> linear = linearize(apply, {"scale": jnp.float32(3)})
      >>> print(linear({"scale": jnp.float32(4)}, jnp.array([1.0, 2.0])))  # 9 + 6
      [15. 30.]

    References:
      Chizat et al., `On Lazy Training in Differentiable Programming
      <https://arxiv.org/abs/1812.07956>`_, 2019; Lee et al., `Wide Neural Networks of
      Any Depth Evolve as Linear Models Under Gradient Descent
      <https://arxiv.org/abs/1902.06720>`_, 2019
    """
    check_apply("linearize", apply)
    reference, rebuild = floating_leaves("linearize", params)

    def linear_apply(new_params: Any, inputs: Any) -> jax.Array:
        new = _like(params, new_params, "linearize")
        steps = [
            jnp.asarray(leaf - old, jnp.result_type(old))
            for leaf, old in zip(new, reference, strict=True)
        ]
        outputs, change = jax.jvp(
            lambda leaves: apply(rebuild(leaves), inputs), (reference,), (steps,)
        )
        return outputs + change

    return linear_apply


def parameter_movement(params: Any, initial_params: Any) -> jax.Array:
    r"""Distance of parameters from their initial values, over the initial norm.

    .. math::

        \frac{\lVert \theta - \theta_0 \rVert}{\lVert \theta_0 \rVert}

    over all floating-point leaves together, in float32 at least. Lazy training moves
    the parameters only a little. The result is infinite if all initial parameters are
    zero, and NaN if the new parameters are zero, too.

    Args:
      params: :math:`\theta`, any tree of parameters.
      initial_params: :math:`\theta_0`, a tree of the same structure and shapes.

    Returns:
      The movement, shape ``()``.

    Raises:
      ValueError: if there is no floating-point leaf, or the trees differ.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import parameter_movement
      >>> print(parameter_movement({"w": jnp.array([3.0, 6.0])},
      ...                          {"w": jnp.array([3.0, 4.0])}))  # 2 / 5
      0.4
    """
    initial, _ = floating_leaves("parameter_movement", initial_params)
    new = _like(initial_params, params, "parameter_movement")
    with jax.numpy_dtype_promotion("standard"):
        moved = [
            _norms.leaf_norm(_norms.widened(leaf) - _norms.widened(old))
            for leaf, old in zip(new, initial, strict=True)
        ]
        norms = [_norms.leaf_norm(old) for old in initial]
        return _norms.norm(jnp.stack(moved)) / _norms.norm(jnp.stack(norms))


def _like(params: Any, new_params: Any, name: str) -> list[jax.Array]:
    """The floating leaves of new parameters, after a check of structure and shapes."""
    structure: Any = jax.tree.structure(params)
    new_structure: Any = jax.tree.structure(new_params)
    if new_structure != structure:
        raise ValueError(
            f"{name}: params have the structure {_checks.shown(new_structure)}, not "
            f"{_checks.shown(structure)}"
        )
    found = []
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(new_params), strict=True)
    for path, (old, new) in zip(_leaves.named_leaves(params)[0], pairs, strict=True):
        if not _leaves.is_floating(old):
            continue
        _checks.array(f"{name}: params[{path!r}]", new)
        if jnp.shape(new) != jnp.shape(old):
            raise ValueError(
                f"{name}: {path!r} has the shape {jnp.shape(new)}, not {jnp.shape(old)}"
            )
        found.append(new)
    return found
