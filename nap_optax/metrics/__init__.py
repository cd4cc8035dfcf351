"""Metrics of features and kernels in training: pure, jittable functions of arrays."""

from nap_optax.metrics.attention import attention_entropy
from nap_optax.metrics.features import (
    activation_pattern_change,
    dormant_fraction,
    feature_covariance_change,
)
from nap_optax.metrics.kernels import (
    empirical_ntk,
    kernel_alignment,
    kernel_descent,
    kernel_regression,
    kernel_target_alignment,
    linearize,
    parameter_movement,
    task_difficulty,
)
from nap_optax.metrics.rank import effective_rank, stable_rank

__all__ = [
    "activation_pattern_change",
    "attention_entropy",
    "dormant_fraction",
    "effective_rank",
    "empirical_ntk",
    "feature_covariance_change",
    "kernel_alignment",
    "kernel_descent",
    "kernel_regression",
    "kernel_target_alignment",
    "linearize",
    "parameter_movement",
    "stable_rank",
    "task_difficulty",
]
