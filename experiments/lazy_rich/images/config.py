"""What a lazy classifier of images can be asked for."""

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

    The images are Fashion-MNIST's (Debian: dataset-fashion-mnist) or others in files of
    these names; the paper has MNIST's.
    """

    data_directory: Path | None = None
    """The four files of the images are here; by default where Debian's package has
    them."""
    num_train: int = 1000
    """The training set has this many images, drawn with the seed."""
    num_test: int = 1000
    """The test set has this many images, drawn with the seed."""
    batch_size: int = 200
    """An update has this many images: the training set goes round in a fixed order."""
    width: int = 200
    """Each of the two hidden layers has this many units."""
    init_scale: float = per_member(8.0)
    """The initial weights and biases are this many times as large as usual."""
    num_steps: int = 20_000
    """The run has this many updates, each of a batch."""
    learning_rate: float = per_member(1e-3)
    """η₀: gradient descent, with momentum or without, has this rate over alpha squared.
    Adam and AdamW have it as it is."""
    center: bool = False
    """The output is less that of the initial network, so that it starts at zero."""
    optimizer: Optimizer = "adamw"
    """Gradient descent (gd), with momentum, Adam, or AdamW with its weight decay."""
    weight_decay: float = per_member(0.1)
    """AdamW's weights decay by this, times the learning rate."""
    eval_every: int = 100
    """Losses are measured once every this many updates."""

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
