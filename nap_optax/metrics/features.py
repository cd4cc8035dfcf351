"""Metrics of a layer's features: how far they moved, and its dormant units."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms
from nap_optax.metrics import _sharding

__all__ = [
    "activation_pattern_change",
    "dormant_fraction",
    "feature_covariance_change",
]


def feature_covariance_change(
    features_a: jax.Array, features_b: jax.Array
) -> jax.Array:
    r"""Distance between the normalised covariances of two sets of features.

    .. math::

        \Delta_C = \lVert C_a - C_b \rVert_F, \qquad
        C = \frac{f f^\top}{\lVert f \rVert_F^2},

    between 0 and :math:`\sqrt 2`. A rotation or a rescaling of the features changes
    nothing. With :math:`\hat f = f / \lVert f \rVert_F`,
    :math:`D = \hat f_a - \hat f_b` and :math:`S = \hat f_a + \hat f_b`, it is computed
    as

    .. math::

        \Delta_C^2 = \tfrac12 \Bigl[\sum (S^\top S) \circ (D^\top D)
        + \operatorname{tr}\bigl((S^\top D)^2\bigr)\Bigr],

    which needs no matrix of size n × n. Unlike the difference of the squared norms, it
    does not cancel when the features have hardly moved. It does cancel when they were
    turned by a large angle and not changed otherwise: instead of 0 it is then about
    1e-4 in float32. All computation is in float32 at least.

    Features that are all zero have :math:`C = 0`: the change is 0 between two such
    sets, and :math:`\lVert C \rVert_F` of the other set if one is zero. The gradient at
    identical features is 0.

    Args:
      features_a: one row per example, shape ``(n, d)``.
      features_b: features of the same examples, in the same order, shape ``(n, d)``.

    Returns:
      The change, shape ``()``.

    Raises:
      ValueError: if ``features_a`` does not have two dimensions or the shapes differ.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import feature_covariance_change
      >>> features = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> rotated = 3 * features @ jnp.array([[0.0, 1.0], [-1.0, 0.0]])
      >>> print(f"{feature_covariance_change(features, rotated):.4f}")
      0.0000
      >>> collapsed = jnp.array([[1.0, 0.0], [0.0, 0.0]])
      >>> print(f"{feature_covariance_change(features, collapsed):.4f}")  # sqrt(1/2)
      0.7071

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, equation 3
    """
    _check_pair(features_a, features_b)
    features_b = _sharding.alike(features_b, features_a)
    unit_a, unit_b = _unit_norm(features_a), _unit_norm(features_b)
    total, difference = unit_a + unit_b, unit_a - unit_b
    cross = _gram(total, difference)
    squared = 0.5 * (
        jnp.sum(_gram(total, total) * _gram(difference, difference))
        + jnp.sum(cross * cross.T)
    )
    # Rounding may leave a tiny negative number; a square root at 0 has no gradient.
    positive = squared > 0
    root = jnp.sqrt(jnp.where(positive, squared, 1))
    return jnp.where(positive, root, 0 * squared)


def activation_pattern_change(
    features_a: jax.Array, features_b: jax.Array, *, norm: str = "mean"
) -> jax.Array:
    r"""How many units switched on or off between two sets of features.

    With :math:`A_{ij} = 1\{f(x_i)_j > 0\}`,

    .. math::

        \Delta_A = \frac{1}{nd} \sum_{ij} \lvert A^a_{ij} - A^b_{ij} \rvert
        \ \text{ ("mean")} \qquad\text{or}\qquad
        \Delta_A = \lVert A^a - A^b \rVert_F \ \text{ ("frobenius").}

    It is the same for features before and after a ReLU.

    Args:
      features_a: one row per example, shape ``(n, d)``.
      features_b: features of the same examples and units, shape ``(n, d)``.
      norm: ``"mean"`` for the share of (example, unit) pairs that differ, in 0..1;
        ``"frobenius"`` for the square root of their number. Static.

    Returns:
      The change, shape ``()``, float32.

    Raises:
      ValueError: if ``features_a`` does not have two dimensions, the shapes differ, or
        ``norm`` is unknown.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import activation_pattern_change
      >>> before = jnp.array([[1.0, -1.0], [2.0, 0.0]])
      >>> after = jnp.array([[1.0, 3.0], [2.0, -1.0]])
      >>> print(activation_pattern_change(before, after))
      0.25

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, equation 4
    """
    _check_pair(features_a, features_b)
    if not isinstance(norm, str) or norm not in ("mean", "frobenius"):
        raise ValueError(
            f"norm must be 'mean' or 'frobenius', got {_checks.shown(norm)}."
        )
    features_b = _sharding.alike(features_b, features_a)
    switched = (jnp.asarray(features_a) > 0) != (jnp.asarray(features_b) > 0)
    if norm == "mean":
        return jnp.mean(switched, dtype=jnp.float32)
    return jnp.sqrt(jnp.sum(switched, dtype=jnp.float32))


def dormant_fraction(activations: jax.Array, threshold: float = 0.025) -> jax.Array:
    r"""Share of a layer's units that are dormant.

    Unit :math:`i` is dormant if its score is at most the threshold:

    .. math::

        s_i = \frac{\operatorname{mean}_x \lvert h_i(x) \rvert}
        {\operatorname{mean}_k \operatorname{mean}_x \lvert h_k(x) \rvert}
        \le \tau.

    With a threshold of 0, these are the units that are zero on all examples. In a layer
    that is zero everywhere, all units are dormant; NaN gives NaN. Computed in float32
    at least.

    Args:
      activations: activations of one layer, shape ``(..., units)``. All leading axes
        (examples; height and width of a convolution) are averaged over.
      threshold: :math:`\tau`, not negative. May be traced.

    Returns:
      The share in 0..1, shape ``()``, float32.

    Raises:
      ValueError: if ``activations`` has fewer than two dimensions or ``threshold`` is
        not a finite number of 0 or more.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import dormant_fraction
      >>> activations = jnp.array([[1.0, 0.0, 2.0, 0.0], [3.0, 0.0, 0.0, 0.0]])
      >>> print(dormant_fraction(activations))
      0.5

    References:
      Sokar et al., `The Dormant Neuron Phenomenon in Deep Reinforcement Learning
      <https://arxiv.org/abs/2302.12902>`_, 2023
    """
    _checks.array("activations", activations)
    if jnp.ndim(activations) < 2:
        raise ValueError(
            "activations must have shape (..., units) and at least two dimensions, "
            f"got shape {jnp.shape(activations)}."
        )
    _checks.finite("threshold", threshold, 0)
    magnitudes = jnp.abs(_norms.widened(activations))
    unit_means = jnp.mean(magnitudes, axis=tuple(range(magnitudes.ndim - 1)))
    layer_mean = jnp.mean(unit_means)
    # Without dividing by the layer's mean, which may be zero.
    bound = jnp.asarray(threshold, layer_mean.dtype) * layer_mean
    share = jnp.mean(unit_means <= bound, dtype=jnp.float32)
    return jnp.where(jnp.isnan(layer_mean), jnp.nan, share)


def _unit_norm(features: jax.Array) -> jax.Array:
    """Features over their Frobenius norm; zero stays zero."""
    features = _norms.widened(features)
    # The squares of very large or very small features would leave float32's range.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(features), initial=0))
    is_zero = largest == 0
    features = features / jnp.where(is_zero, 1, largest)
    squared_norm = jnp.sum(jnp.square(features))
    return features * jax.lax.rsqrt(jnp.where(is_zero, 1, squared_norm))


def _gram(left: jax.Array, right: jax.Array) -> jax.Array:
    """leftᵀ right, in full precision on every device."""
    sharding = _sharding.on_all_devices(left, right)
    if sharding is None:
        return jnp.matmul(left.T, right, precision="highest")
    rows = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(
        left, right, rows, precision="highest", out_sharding=sharding
    )


def _check_pair(features_a: jax.Array, features_b: jax.Array) -> None:
    _checks.array("features_a", features_a)
    _checks.array("features_b", features_b)
    shape_a, shape_b = jnp.shape(features_a), jnp.shape(features_b)
    if len(shape_a) != 2:
        raise ValueError(f"features_a must have shape (n, d), got shape {shape_a}.")
    if shape_b != shape_a:
        raise ValueError(
            f"features_b must have the shape of features_a, {shape_a}, got {shape_b}."
        )
