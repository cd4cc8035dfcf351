"""Normalize-and-Project and effective-learning-rate re-warming for optax."""

from importlib.metadata import version as _version

from nap_optax import detectors, masks, metrics, schedules
from nap_optax.clipping import clip_weights
from nap_optax.detectors import (
    CusumState,
    Detector,
    PageHinkleyState,
    cusum,
    every,
    on_signal,
    page_hinkley,
)
from nap_optax.elr import (
    HoldElrState,
    MeasureElrState,
    effective_learning_rate,
    hold_elr,
    limit_elr,
    measure_elr,
    nominal_effective_learning_rate,
)
from nap_optax.explanation import explain
from nap_optax.layerwise import (
    even_ratio,
    fast_features,
    scale_by_layer,
    slow_features,
)
from nap_optax.leafwise import leaf_by_leaf
from nap_optax.projection import ProjectWeightsState, project_weights
from nap_optax.recipes import HyperballState, hyperball, nap
from nap_optax.regularizers import L2InitState, decay_scales, l2_init
from nap_optax.resets import reset_leaves, shrink_and_perturb
from nap_optax.rewarming import (
    RestartState,
    ScaleByRewarmingState,
    restart,
    scale_by_rewarming,
)
from nap_optax.spectral import SpectralRegularizationState, spectral_regularization

__version__ = _version("nap-optax")

__all__ = [
    "CusumState",
    "Detector",
    "HoldElrState",
    "HyperballState",
    "L2InitState",
    "MeasureElrState",
    "PageHinkleyState",
    "ProjectWeightsState",
    "RestartState",
    "ScaleByRewarmingState",
    "SpectralRegularizationState",
    "clip_weights",
    "cusum",
    "decay_scales",
    "detectors",
    "effective_learning_rate",
    "even_ratio",
    "every",
    "explain",
    "fast_features",
    "hold_elr",
    "hyperball",
    "l2_init",
    "leaf_by_leaf",
    "limit_elr",
    "masks",
    "measure_elr",
    "metrics",
    "nap",
    "nominal_effective_learning_rate",
    "on_signal",
    "page_hinkley",
    "project_weights",
    "reset_leaves",
    "restart",
    "scale_by_layer",
    "scale_by_rewarming",
    "schedules",
    "shrink_and_perturb",
    "slow_features",
    "spectral_regularization",
]
