"""What training does to features: pure, jittable functions of arrays."""

from nap_optax.metrics.attention import attention_entropy
from nap_optax.metrics.features import (
    activation_pattern_change,
    dormant_fraction,
    feature_covariance_change,
)
from nap_optax.metrics.rank import effective_rank, stable_rank

__all__ = [
    "activation_pattern_change",
    "attention_entropy",
    "dormant_fraction",
    "effective_rank",
    "feature_covariance_change",
    "stable_rank",
]
