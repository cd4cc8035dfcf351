"""The options of a warm-start run; the default sizes are the paper's."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.harness.checks import FLOAT32_MAX, check, check_range, check_unread
from experiments.harness.config import RunConfig, per_member
from experiments.warm_start.data import SPECS, FoundSpec, Spec

Dataset = Literal["cifar10", "fashion_mnist", "folder"]
Model = Literal["cnn", "resnet18"]
Downsampling = Literal["strides", "max_pool"]
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
"""Cycles of the schedule `five_cycles`, as in the paper's figure 9."""
DEFAULT_STRENGTHS: dict[str, float] = {
    "shrink_and_perturb": 0.6,
    "l2_init": 1e-3,
    "weight_clipping": 3.0,
    "spectral": 1e-3,
    "weight_decay": 0.1,
}
"""Usual strengths of the methods that have one."""
RESET_METHODS = ("shrink_and_perturb", "full_reset", "last_layer_reset")
"""Methods that act when data arrive; the others act at every update."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains an image classifier on part of its data, then on all of them.

    After a run, its directory holds metrics, a figure, a summary and checkpoints. The
    same command continues an interrupted run.
    """

    dataset: Dataset = "cifar10"
    """Images to classify: CIFAR-10, as in the paper, Fashion-MNIST, which Debian
    packages, or your own (folder), with a folder for each class in --data-directory."""
    model: Model = "cnn"
    """Network: the paper's small CNN or its ResNet-18, without biases in linear
    transforms."""
    downsampling: Downsampling = "strides"
    """How the CNN halves the sides of images after each of its first two convolutions:
    by strides, or by maxima over 2 x 2 positions. The paper tells neither."""
    normalize_hidden: bool = False
    """LayerNorm before the ReLU of the CNN's hidden layer, as Normalize-and-Project has
    before each nonlinearity. The paper's appendix names none there."""
    offsets: bool = True
    """Learnt offsets of the CNN's LayerNorms. Projection holds neither them nor the
    scales."""
    initial_fraction: float = per_member(0.1, "examples_by_phase")
    """Share of the training examples that is available from the beginning. The paper
    has 0.1, 0.5 and 1."""
    num_phases: int = 2
    """Number of phases. Each but the first begins with an equal part of the other data;
    10 with an initial fraction of 0.1 adds a tenth each time. The paper has 2."""
    epochs_per_phase: int = 70
    """Number of passes over all training examples in a phase. Phases have equally many
    updates, however few examples are available. The paper has 70."""
    num_train_examples: int = 0
    """Number of training examples in all, drawn at random for each seed; 0 takes every
    one."""
    num_test_examples: int = 0
    """Number of test examples; 0 takes every one."""
    label_noise: float = per_member(0.0)
    """Share of the training labels that is replaced by random ones, permanently."""
    augment: bool = False
    """Shifts images by up to 4 pixels and mirrors them, at random. The paper
    names none."""
    batch_size: int = 250
    """Number of examples of an update. With 250, 70 epochs of CIFAR-10 are the paper's
    14,000 updates."""
    learning_rate: float = per_member(1e-3)
    """Peak learning rate of the schedule."""
    low_learning_rate: float = per_member(1e-6)
    """Learning rate at the end of each cycle of the schedule."""
    warmup_fraction: float = 0.1
    """Part of each cycle that is linear warm-up."""
    schedule: Schedule = "aligned"
    """Schedule of the learning rate, in cycles of warm-up and cosine: one for each
    phase, re-warmed when data arrive (aligned); five, whenever data arrive
    (five_cycles); one over all (single_cycle); one re-warmed when a detector sees the
    loss change (cusum); one for each phase with a growing peak (growing)."""
    growth: float = per_member(2.0)
    """Factor of the growing schedule's peak from phase to phase. The paper has 2."""
    layer_rates: LayerRates = "constant"
    """Learning rates of the layers: one for all (constant), a tenth of it for the
    output layer (fast_features) or for all others (slow_features), or each layer's in
    proportion to its mean |w| (even_ratio)."""
    project: bool = True
    """Holds the Frobenius norm of each matrix at its initial value, by projection."""
    radius_multiplier: float = per_member(1.0)
    """Factor of the initial matrices, and so of the norms that projection holds."""
    method: Method = "none"
    """Remedy from other papers, which changes the weights when data arrive, or at every
    update. It may be combined with projection."""
    strength: float | None = per_member(None, "method_strength")
    """Strength of the method: shrink_and_perturb multiplies the weights by it (0.6 by
    default), l2_init (0.001), spectral (0.001) and weight_decay (0.1, decoupled) have
    it as their factor, and weight_clipping bounds weights by it in units of the usual
    initial bound (3)."""
    seed: int = 0
    """Seed of the subset, the batches and the initial weights."""
    eval_every: int = 500
    """Number of updates between two evaluations of the network."""
    checkpoint_seconds: float = 30.0
    """Two checkpoints are at least this many seconds apart."""
    data_directory: Path | None = None
    """Directory of the data; by default where Debian or tensorflow-datasets put them.
    Your own images are train/CLASS/* and test/CLASS/* in it, or CLASS/*, of which a
    fifth is set aside to test on."""
    download: bool = False
    """Fetches the data if they are missing."""

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
            check_range(name, getattr(self, name), above=0)
        check_range(
            "low_learning_rate",
            self.low_learning_rate,
            at_least=0,
            at_most=self.learning_rate,
        )
        for name in ("num_train_examples", "num_test_examples"):
            check_range(name, getattr(self, name), at_least=0)
        check(
            "num_phases",
            self.num_phases,
            self.num_phases > 1 or self.initial_fraction == 1,
            "at least 2, or the data are never added",
        )
        only_of_cnn = ("downsampling", "normalize_hidden", "offsets")
        check_unread(
            self, [(self.model == "cnn", only_of_cnn, f"with model={self.model}")]
        )
        self._check_folder()
        if self.is_resolved:
            self._check_data()
        self._check_growth()
        self._check_method()

    def _check_folder(self) -> None:
        own = self.dataset == "folder"
        check(
            "data_directory",
            self.data_directory,
            self.data_directory is not None or not own,
            "the folder of the images with dataset=folder",
        )
        check(
            "download",
            self.download,
            not self.download or not own,
            "left out with dataset=folder, which has nothing to fetch",
        )

    def _check_data(self) -> None:
        for name, most in (
            ("num_train_examples", self.spec.num_train),
            ("num_test_examples", self.spec.num_test),
        ):
            check_range(name, getattr(self, name), at_least=0, at_most=most)
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

    def _check_growth(self) -> None:
        check(
            "growth",
            self.growth,
            self.growth == type(self).growth or self.schedule == "growing",
            f"left out with schedule={self.schedule}, which has none",
        )
        highest = math.log(self.learning_rate) + (self.num_phases - 1) * math.log(
            self.growth
        )
        check(
            "growth",
            self.growth,
            self.schedule != "growing" or highest < math.log(FLOAT32_MAX),
            f"less: in the last of {self.num_phases} phases float32 cannot hold the "
            "peak",
        )

    def _check_method(self) -> None:
        check(
            "method",
            self.method,
            self.num_phases > 1 or self.method not in RESET_METHODS,
            "another with num_phases=1, where no data arrive",
        )
        if self.strength is None:
            return
        check(
            "strength",
            self.strength,
            self.method in DEFAULT_STRENGTHS,
            f"left out with method={self.method}, which has none",
        )
        check_range("strength", self.strength, at_least=0)
        if self.method == "shrink_and_perturb":
            check_range("strength", self.strength, at_most=1)
        if self.method == "weight_clipping":
            check_range("strength", self.strength, above=0)

    @property
    def is_resolved(self) -> bool:
        """Whether the data set is known; if not, see `FolderConfig`."""
        return self.dataset in SPECS

    @property
    def spec(self) -> Spec:
        """Sizes of the data set."""
        return SPECS[self.dataset]

    @property
    def num_train(self) -> int:
        """Number of training examples in the last phase."""
        return self.num_train_examples or self.spec.num_train

    @property
    def num_test(self) -> int:
        """Number of test examples."""
        return self.num_test_examples or self.spec.num_test

    @property
    def phase_steps(self) -> int:
        """Number of updates of a phase."""
        return self.epochs_per_phase * (self.num_train // self.batch_size)

    @property
    def num_steps(self) -> int:
        """Number of updates in all."""
        return self.num_phases * self.phase_steps

    @property
    def examples_by_phase(self) -> np.ndarray:
        """Number of training examples in each phase, shape (num_phases,)."""
        grown = np.arange(self.num_phases) / max(self.num_phases - 1, 1)
        fractions = self.initial_fraction + (1 - self.initial_fraction) * grown
        return np.rint(fractions * self.num_train).astype(np.int32)

    @property
    def method_strength(self) -> float:
        """The strength, or by default the method's usual one, or 0 if it has none."""
        usual = DEFAULT_STRENGTHS.get(self.method, 0.0)
        return usual if self.strength is None else self.strength


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderConfig(Config):
    """A config for the user's own images, with what their folder holds.

    These facts are part of the config, so a run is continued on the same images only,
    even if they have moved.
    """

    images: FoundSpec
    """What the folder holds."""

    @classmethod
    def of(cls, config: Config, images: FoundSpec) -> "FolderConfig":
        """A config with the facts about the images.

        Raises:
          ValueError: the config asks for more than the images give.
        """
        fields = dataclasses.fields(Config)
        asked: dict[str, Any] = {
            field.name: getattr(config, field.name) for field in fields
        }
        return cls(**asked, images=images)

    @property
    def is_resolved(self) -> bool:
        """Always true."""
        return True

    @property
    def spec(self) -> Spec:
        """What the folder holds."""
        return self.images
