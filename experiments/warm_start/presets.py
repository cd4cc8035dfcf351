"""The two scales at which the warm-start figures are run."""

from typing import Any

SEEDS = 5
FRACTIONS = (0.1, 0.5, 1.0)
PAPER: dict[str, Any] = {"eval_every": 100}
"""The config's own defaults; evaluated as often as the paper's figure 5."""
LAPTOP: dict[str, Any] = {
    "dataset": "fashion_mnist",
    "num_train_examples": 5000,
    "num_test_examples": 5000,
    "batch_size": 50,
    "epochs_per_phase": 10,
    "learning_rate": 1e-2,
    "eval_every": 100,
}
"""Real data of a tenth the size, so that a run takes half a minute on one core."""
LAPTOP_NOTE = (
    "5000 images of Fashion-MNIST instead of CIFAR-10, 10 epochs a phase instead of "
    "70, batches of 50 instead of 250. The paper's numbers are those of CIFAR-10, so "
    "differences between arms compare, not levels."
)
