"""Settings of a lazy classifier of images."""

import dataclasses
from pathlib import Path

from experiments.harness.checks import check, check_range
from experiments.harness.config import per_member
from experiments.harness.images.data_sets import SPECS
from experiments.lazy_rich.config import LazyConfig, Optimizer

SPEC = SPECS["fashion_mnist"]


@dataclasses.dataclass(frozen=True)
class Config(LazyConfig):
    """A ReLU perceptron that classifies images, from large weights that decay.

    The images are Fashion-MNIST (Debian: dataset-fashion-mnist), or others in files of
    these names. The paper has MNIST.
    """

    data_directory: Path | None = None
    """Folder of the four image files. The default is the folder of Debian's package."""
    num_train: int = 1000
    """The training set has this many images, drawn with the seed."""
    num_test: int = 1000
    """The test set has this many images, drawn with the seed."""
    batch_size: int = 200
    """Images in an update. Updates go through the training set in a fixed order."""
    width: int = 200
    """Each of the two hidden layers has this many units."""
    init_scale: float = per_member(8.0)
    """The initial weights and biases are this many times as large as usual."""
    num_steps: int = 20_000
    """The run has this many updates, each of a batch."""
    learning_rate: float = per_member(1e-3)
    """η₀. Gradient descent, with or without momentum, uses this over alpha squared.
    Adam and AdamW use it as it is."""
    center: bool = False
    """The output of the initial network is subtracted, so that the output starts at
    zero."""
    optimizer: Optimizer = "adamw"
    """Gradient descent (gd), momentum, Adam, or AdamW with its weight decay."""
    weight_decay: float = per_member(0.1)
    """AdamW decays the weights by this, times the learning rate."""
    eval_every: int = 100
    """Losses are measured every this many updates."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("width", self.width, at_least=1, at_most=2**15)
        check_range("num_train", self.num_train, at_least=1, at_most=SPEC.num_train)
        check_range("num_test", self.num_test, at_least=1, at_most=SPEC.num_test)
        check(
            "batch_size",
            self.batch_size,
            self.batch_size >= 1 and self.num_train % self.batch_size == 0,
            f"a divisor of num_train, which is {self.num_train}",
        )
        check_range("init_scale", self.init_scale, at_least=1e-3, at_most=1e3)

    @property
    def zero_loss(self) -> float:
        """The training loss of the zero predictor."""
        return 1 / SPEC.num_classes
