"""Normalize-and-Project and effective-learning-rate re-warming for optax."""

from nap_optax import detectors, masks, metrics, schedules
from nap_optax.detectors import Detector, every, on_signal
from nap_optax.projection import ProjectWeightsState, project_weights
from nap_optax.recipes import nap
from nap_optax.regularizers import decay_scales
from nap_optax.rewarming import (
    RestartState,
    ScaleByRewarmingState,
    restart,
    scale_by_rewarming,
)

__all__ = [
    "Detector",
    "ProjectWeightsState",
    "RestartState",
    "ScaleByRewarmingState",
    "decay_scales",
    "detectors",
    "every",
    "masks",
    "metrics",
    "nap",
    "on_signal",
    "project_weights",
    "restart",
    "scale_by_rewarming",
    "schedules",
]
