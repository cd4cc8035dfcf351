"""Measures of attention weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms

__all__ = ["attention_entropy"]


def attention_entropy(weights: jax.Array) -> jax.Array:
    r"""Mean entropy of attention distributions, in nats.

    .. math::

        \operatorname{mean}_q \Bigl(-\sum_k w_{qk} \log w_{qk}\Bigr),
        \qquad 0 \log 0 = 0.

    It lies between 0 (each query attends to one key) and :math:`\log` of the number of
    keys (uniform attention). A weight of exactly zero has a finite value and a gradient
    of 0. Computed in float32 at least.

    Args:
      weights: attention weights, shape ``(..., keys)``, non-negative, with a sum of 1
        over the last axis.

    Returns:
      The mean over all leading axes, shape ``()``.

    Raises:
      ValueError: if ``weights`` is no array of numbers, or a scalar.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import attention_entropy
      >>> weights = jnp.array([[0.5, 0.5], [1.0, 0.0]])
      >>> print(f"{attention_entropy(weights):.4f}")  # log(2) / 2
      0.3466

    References:
      Zhai et al., `Stabilizing Transformer Training by Preventing Attention Entropy
      Collapse <https://arxiv.org/abs/2303.06296>`_, 2023
    """
    _checks.array("weights", weights)
    if jnp.ndim(weights) < 1:
        raise ValueError("weights must have shape (..., keys), got shape ().")
    weights = _norms.widened(weights)
    # No logarithm of zero, because its infinite derivative would give NaN.
    log_weights = jnp.log(jnp.where(weights == 0, 1, weights))
    return jnp.mean(-jnp.sum(weights * log_weights, axis=-1))
