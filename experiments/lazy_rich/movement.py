"""How far a network is from where it began: its features and its tangent kernel."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import metrics

NUM_PROBES = 48
"""Number of training examples on which features and kernels are compared, if there are
as many. The cost of the kernel grows with its square."""


def movement(
    model_of: Callable[[Any], Any],
    features: Callable[..., jax.Array],
    params: tuple[Any, Any],
    inputs: tuple[jax.Array, ...],
    targets: jax.Array,
) -> dict[str, jax.Array]:
    """Scalars that are 0 at first, except for the alignment.

    Args:
      model_of: gives the model with some parameters.
      features: of a model and inputs, a matrix with a row for each example.
      params: now, and at first.
      inputs: probes.
      targets: theirs, shape (n,) or (n, k).

    Returns:
      ``feature_covariance_change`` and ``activation_pattern_change`` as of
      `nap_optax.metrics`; ``kernel_change``, the distance of the tangent kernels over
      the norm of the initial one; ``kernel_rotation``, 1 less their cosine; and
      ``kernel_target_alignment``, centred and without the diagonal.
    """
    now, before = (features(model_of(own), *inputs) for own in params)
    kernel, initial_kernel = (
        metrics.empirical_ntk(lambda own, x: model_of(own)(*x), own, inputs)
        for own in params
    )
    change = jnp.linalg.norm(kernel - initial_kernel)
    return {
        "feature_covariance_change": metrics.feature_covariance_change(now, before),
        "activation_pattern_change": metrics.activation_pattern_change(now, before),
        "kernel_change": change / jnp.linalg.norm(initial_kernel),
        "kernel_rotation": 1 - metrics.kernel_alignment(kernel, initial_kernel),
        "kernel_target_alignment": metrics.kernel_target_alignment(
            kernel, targets, centered=True, diagonal=False
        ),
    }
