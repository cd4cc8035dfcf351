"""The public names, in one place; `nap_optax` itself loads them when they are used."""

from nap_optax import detectors, masks, metrics, schedules
from nap_optax.anchoring import L2InitState, l2_init
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
    MeasureElrState,
    effective_learning_rate,
    measure_elr,
    nominal_effective_learning_rate,
)
from nap_optax.holding import HoldElrState, hold_elr
from nap_optax.layerwise import (
    even_ratio,
    fast_features,
    scale_by_layer,
    slow_features,
)
from nap_optax.limiting import limit_elr
from nap_optax.projection import ProjectWeightsState, project_weights
from nap_optax.recipes import HyperballState, hyperball, nap
from nap_optax.regularizers import decay_scales
from nap_optax.resets import reset_leaves, shrink_and_perturb
from nap_optax.rewarming import (
    RestartState,
    ScaleByRewarmingState,
    restart,
    scale_by_rewarming,
)
from nap_optax.spectral import SpectralRegularizationState, spectral_regularization

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
    "fast_features",
    "hold_elr",
    "hyperball",
    "l2_init",
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
