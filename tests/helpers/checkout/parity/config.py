"""The options of a parity run."""

import dataclasses

from experiments.harness.checks import check_range
from experiments.harness.config import RunConfig, per_member


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains a two-layer perceptron on the parity of some bits."""

    num_bits: int = 6
    """Number of bits of an input; half of all inputs are for training."""
    width: int = 32
    """Number of hidden units."""
    num_steps: int = 40
    """Number of updates."""
    learning_rate: float = per_member(0.1)
    """Learning rate of gradient descent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_bits", "width", "num_steps"):
            check_range(name, getattr(self, name), at_least=1)
        check_range("learning_rate", self.learning_rate, above=0)
