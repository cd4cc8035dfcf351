"""Continuous measures of the rank of a matrix of features."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms
from nap_optax.metrics import _sharding

__all__ = ["effective_rank", "stable_rank"]


def effective_rank(features: jax.Array) -> jax.Array:
    r"""Exponential of the entropy of the normalised singular values.

    .. math::

        \exp\Bigl(-\sum_i p_i \log p_i\Bigr), \qquad
        p_i = \frac{\sigma_i}{\sum_j \sigma_j},

    between 1 and the rank of the matrix, which it reaches when all non-zero singular
    values are equal. It does not depend on the scale of the features. Features that are
    all zero have effective rank 0. Computed in float32 at least.

    Args:
      features: one row per example, shape ``(n, d)``.

    Returns:
      The effective rank, shape ``()``.

    Raises:
      ValueError: if ``features`` is no array of numbers of two dimensions.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import effective_rank
      >>> print(f"{effective_rank(jnp.eye(3)):.4f}")
      3.0000

    References:
      Roy and Vetterli, `The Effective Rank: A Measure of Effective Dimensionality
      <https://ieeexplore.ieee.org/document/7098875>`_, 2007
    """
    relative, is_zero = _relative_singular_values(features)
    shares = relative / jnp.where(is_zero, 1, jnp.sum(relative))
    entropy = -jnp.sum(shares * jnp.log(jnp.where(shares == 0, 1, shares)))
    return jnp.where(is_zero, 0, jnp.exp(entropy))


def stable_rank(features: jax.Array) -> jax.Array:
    r"""Squared Frobenius norm over squared spectral norm.

    .. math::

        \frac{\lVert F \rVert_F^2}{\lVert F \rVert_2^2}
        = \frac{\sum_i \sigma_i^2}{\max_i \sigma_i^2},

    between 1 and the rank of the matrix; small singular values hardly count. It does
    not depend on the scale of the features. Features that are all zero have stable rank
    0. Computed in float32 at least.

    Args:
      features: one row per example, shape ``(n, d)``.

    Returns:
      The stable rank, shape ``()``.

    Raises:
      ValueError: if ``features`` is no array of numbers of two dimensions.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import stable_rank
      >>> print(f"{stable_rank(jnp.diag(jnp.array([2.0, 1.0]))):.4f}")  # (4 + 1) / 4
      1.2500

    References:
      Rudelson and Vershynin, `Sampling from large matrices: an approach through
      geometric functional analysis <https://arxiv.org/abs/math/0503442>`_, 2007
    """
    relative, _ = _relative_singular_values(features)
    return jnp.sum(jnp.square(relative))


def _relative_singular_values(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Singular values over the largest one, and whether all of them are zero."""
    _checks.array("features", features)
    if jnp.ndim(features) != 2:
        raise ValueError(
            f"features must have shape (n, d), got shape {jnp.shape(features)}."
        )
    matrix = _sharding.replicated(_norms.widened(features))
    singular_values = jnp.linalg.svd(matrix, compute_uv=False)
    largest = jnp.max(singular_values, initial=0)
    is_zero = largest == 0
    return singular_values / jnp.where(is_zero, 1, largest), is_zero
