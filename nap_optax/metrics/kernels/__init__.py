"""Networks as kernels: the tangent kernel, its fit to a task, and the lazy limit.

A network with features that hardly move trains like kernel regression with its
empirical neural tangent kernel. The further a network is from that, the richer is its
training.
"""

from nap_optax.metrics.kernels._alignment import (
    kernel_alignment,
    kernel_target_alignment,
)
from nap_optax.metrics.kernels._linearization import linearize, parameter_movement
from nap_optax.metrics.kernels._ntk import empirical_ntk
from nap_optax.metrics.kernels._regression import (
    kernel_descent,
    kernel_regression,
    task_difficulty,
)

__all__ = [
    "empirical_ntk",
    "kernel_alignment",
    "kernel_descent",
    "kernel_regression",
    "kernel_target_alignment",
    "linearize",
    "parameter_movement",
    "task_difficulty",
]
