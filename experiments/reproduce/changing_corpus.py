"""What the figures of continual pretraining share: lines, sizes, rates, measures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.continual_pretraining.config import Config
from experiments.reproduce.figure import Scale
from experiments.reproduce.runs import Runs

ADAMW: dict[str, Any] = {"optimizer": "adamw", "weight_decay": 0.1}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": ADAMW,
    "nap": {"optimizer": "nap"},
    "hyperball": {"optimizer": "hyperball"},
}
ONE_COSINE = "AdamW, one cosine"
REWARMED = {name: f"{name}, re-warmed" for name in OPTIMIZERS}
TUNED: dict[str, dict[str, Any]] = {
    ONE_COSINE: {**ADAMW, "schedule": "single_cosine"},
    **{REWARMED[name]: own for name, own in OPTIMIZERS.items()},
}
"""Lines whose rate is chosen, each for itself."""
GRID = (1e-3, 3e-3, 1e-2, 3e-2)
"""Peak rates, the same for all."""
TUNING_SEED = 100
"""Rates are chosen by this seed, which no other figure has."""
SIZES: dict[Scale, dict[str, Any]] = {
    "laptop": {"phase_steps": 600, "eval_every": 100},
    "paper": {
        **{"phase_steps": 4000, "eval_every": 200, "warmup_steps": 200},
        **{"batch_size": 16, "context": 128},
        **{"num_heads": 4, "mlp_dim": 512},
    },
}
"""There is no paper: its scale is one that a GPU is for."""
NOTES = {
    "laptop": "Two blocks of width 64, 8 pieces of 64 bytes an update, 600 updates on "
    "each corpus.",
    "paper": "Two blocks of width 128, 16 pieces of 128 bytes, 4000 updates on each.",
}


def arm(settings: Mapping[str, Any], scale: Scale) -> Config:
    """A line at a scale."""
    return Config(**SIZES[scale], **settings)


def final(runs: Runs, name: str, metric: str) -> np.ndarray:
    """At the last evaluation, for each seed."""
    return runs.late(name, metric=metric, last=1)


def mean_loss(runs: Runs, name: str, change: int) -> np.ndarray:
    """How well both corpora are learned: what rates are chosen by.

    Args:
      runs: the metrics.
      name: of an arm.
      change: the update after which the corpus changes.

    Returns:
      For each seed, the mean of the first corpus's loss at the change and the second
      one's at the end.
    """
    old = runs.at(name, change, metric="old_loss")
    return (old + final(runs, name, "new_loss")) / 2
