"""What a warm-start run can be asked for; the defaults are the paper's sizes."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.harness.checks import check, check_range
from experiments.harness.config import RunConfig, batched
from experiments.warm_start.data import SPECS, Spec

Dataset = Literal["cifar10", "fashion_mnist"]
Model = Literal["cnn", "resnet18"]
Schedule = Literal["aligned", "five_cycles", "single_cycle", "cusum", "growing"]
LayerRates = Literal["constant", "fast_features", "slow_features", "even_ratio"]
Method = Literal[
    "none",
    "shrink_and_perturb",
    "full_reset",
    "last_layer_reset",
    "l2_init",
    "weight_clipping",
    "spectral",
    "weight_decay",
]

NUM_CYCLES = 5
"""Of the schedule `five_cycles`, as in the paper's figure 9."""
DEFAULT_STRENGTHS: dict[str, float] = {
    "shrink_and_perturb": 0.6,
    "l2_init": 1e-3,
    "weight_clipping": 3.0,
    "spectral": 1e-3,
    "weight_decay": 0.1,
}
"""Of the methods that have a number."""
RESET_METHODS = ("shrink_and_perturb", "full_reset", "last_layer_reset")
"""The methods that change weights when data come; the others act at every update."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains an image classifier on part of its data, then on all of them.

    After a run, the directory holds its metrics, figure, summary and checkpoints. The
    same command continues an interrupted run.
    """

    dataset: Dataset = "cifar10"
    """CIFAR-10 (the paper's), or Fashion-MNIST, which Debian packages."""
    model: Model = "cnn"
    """The paper's small CNN or its ResNet-18, without biases in linear transforms."""
    initial_fraction: float = batched(0.1, "examples_by_phase")
    """Share of the training examples that is there from the beginning."""
    num_phases: int = 2
    """Data are added at the beginning of each phase but the first, in equal parts; 10
    with an initial fraction of .1 adds a tenth each time."""
    epochs_per_phase: int = 70
    """Length of a phase, counted in passes over all training examples, so that phases
    are equal in updates however few examples there are."""
    num_train_examples: int = 0
    """Training examples in all, drawn at random for each seed; 0 takes every one."""
    num_test_examples: int = 0
    """Test examples; 0 takes every one."""
    label_noise: float = batched(0.0)
    """Share of the training labels that are replaced by random ones, for good."""
    augment: bool = False
    """Shift images by up to 4 pixels and mirror them, at random (the paper: off)."""
    batch_size: int = 250
    """Examples in an update; with it 70 epochs of CIFAR-10 are the paper's 14,000."""
    learning_rate: float = batched(1e-3)
    """Peak of the schedule."""
    low_learning_rate: float = batched(1e-6)
    """Where the schedule's cycles end."""
    warmup_fraction: float = 0.1
    """Part of each cycle that is linear warm-up."""
    schedule: Schedule = "aligned"
    """Cycles of warm-up and cosine: one for each phase, re-warmed when data come
    (aligned); five, whenever data come; one over all; one re-warmed when a detector
    sees the loss change (cusum); one for each phase with a growing peak (growing)."""
    growth: float = batched(2.0)
    """By what the peak of the growing schedule is multiplied from phase to phase."""
    layer_rates: LayerRates = "constant"
    """One rate for all layers, a tenth of it for the output layer (fast_features) or
    for all others (slow_features), or in proportion to each layer's mean |w|."""
    project: bool = True
    """Hold the Frobenius norm of each matrix at its initial value."""
    radius_multiplier: float = batched(1.0)
    """Multiplies the initial matrices, and so the norms that projection holds."""
    method: Method = "none"
    """A remedy of others: what is done to the weights when data come, or at every
    update. It may be combined with projection."""
    strength: float | None = batched(None, "method_strength")
    """Of the method: what shrink_and_perturb multiplies the weights by (.6), the factor
    of l2_init (.001), spectral (.001) and weight_decay (.1, decoupled), or the bound of
    weight_clipping in units of the usual initial one (3)."""
    seed: int = 0
    """Seed of the subset, of the batches and of the initial weights."""
    eval_every: int = 500
    """Updates between evaluations."""
    checkpoint_seconds: float = 30.0
    """Least time between two checkpoints, in seconds."""
    data_directory: Path | None = None
    """Where the data are; by default where Debian or tensorflow-datasets put them."""
    download: bool = False
    """Fetch the data if they are not there."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("initial_fraction", self.initial_fraction, above=0, at_most=1)
        check_range("label_noise", self.label_noise, at_least=0, at_most=1)
        check_range("warmup_fraction", self.warmup_fraction, at_least=0, below=1)
        for name in ("epochs_per_phase", "batch_size"):
            check_range(name, getattr(self, name), at_least=1)
        for name in ("num_phases", "num_seeds"):
            check_range(name, getattr(self, name), at_least=1, at_most=1000)
        for name in ("learning_rate", "growth", "radius_multiplier"):
            check_range(name, getattr(self, name), above=0, below=float("inf"))
        check_range(
            "low_learning_rate",
            self.low_learning_rate,
            at_least=0,
            at_most=self.learning_rate,
        )
        check_range(
            "num_train_examples",
            self.num_train_examples,
            at_least=0,
            at_most=self.spec.num_train,
        )
        check_range(
            "num_test_examples",
            self.num_test_examples,
            at_least=0,
            at_most=self.spec.num_test,
        )
        self._check_together()

    def _check_together(self) -> None:
        check(
            "batch_size",
            self.batch_size,
            self.batch_size <= self.num_train,
            f"at most the {self.num_train} training examples",
        )
        check(
            "epochs_per_phase",
            self.epochs_per_phase,
            self.num_steps < 2**31,
            f"less: {self.num_steps} updates in all are not below 2**31",
        )
        fewest = int(self.examples_by_phase[0])
        check(
            "initial_fraction",
            self.initial_fraction,
            fewest >= self.batch_size,
            f"large enough for one batch: it leaves {fewest} of {self.num_train} "
            f"examples, and batch_size is {self.batch_size}",
        )
        check(
            "num_phases",
            self.num_phases,
            self.num_phases > 1 or self.initial_fraction == 1,
            "at least 2, or the data are never added",
        )
        check(
            "growth",
            self.growth,
            self.growth == type(self).growth or self.schedule == "growing",
            f"left out with schedule={self.schedule}, which has none",
        )
        check(
            "method",
            self.method,
            self.num_phases > 1 or self.method not in RESET_METHODS,
            "another with num_phases=1: data never come",
        )
        if self.strength is None:
            return
        check(
            "strength",
            self.strength,
            self.method in DEFAULT_STRENGTHS,
            f"left out with method={self.method}, which has none",
        )
        check_range("strength", self.strength, at_least=0, below=float("inf"))
        if self.method == "shrink_and_perturb":
            check_range("strength", self.strength, at_most=1)
        if self.method == "weight_clipping":
            check_range("strength", self.strength, above=0)

    @property
    def spec(self) -> Spec:
        """What is known of the data set."""
        return SPECS[self.dataset]

    @property
    def num_train(self) -> int:
        """Training examples when all are there."""
        return self.num_train_examples or self.spec.num_train

    @property
    def num_test(self) -> int:
        """Test examples."""
        return self.num_test_examples or self.spec.num_test

    @property
    def phase_steps(self) -> int:
        """Updates in a phase."""
        return self.epochs_per_phase * (self.num_train // self.batch_size)

    @property
    def num_steps(self) -> int:
        """Updates in all."""
        return self.num_phases * self.phase_steps

    @property
    def examples_by_phase(self) -> np.ndarray:
        """How many training examples are there in each phase, shape (num_phases,)."""
        grown = np.arange(self.num_phases) / max(self.num_phases - 1, 1)
        fractions = self.initial_fraction + (1 - self.initial_fraction) * grown
        return np.rint(fractions * self.num_train).astype(np.int32)

    @property
    def method_strength(self) -> float:
        """The strength, or the method's usual one, or 0 where it has none."""
        usual = DEFAULT_STRENGTHS.get(self.method, 0.0)
        return usual if self.strength is None else self.strength
