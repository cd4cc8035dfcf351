"""What a run on modular addition can be asked for."""

import dataclasses
from typing import Literal

from experiments.harness.checks import check_range
from experiments.harness.config import per_member
from experiments.lazy_rich.config import PairsConfig


@dataclasses.dataclass(frozen=True)
class Config(PairsConfig):
    """Addition modulo p by a perceptron of one hidden layer, on the squared error."""

    width: int = 100
    """The network has this many hidden units."""
    activation: Literal["quadratic", "relu"] = "quadratic"
    """Of the hidden units: their squares, or what of them is positive."""
    scaling: Literal["ntk", "mean_field"] = "ntk"
    """Outputs are sums of the hidden units over the root of the width (ntk), or their
    averages (mean_field)."""
    learning_rate: float = per_member(100.0)
    """η₀: gradient descent, with momentum or without, has this rate over alpha squared;
    with scaling=mean_field, times the width, so ask for 10. Adam and AdamW have it as
    it is: ask for 0.001 or so."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("width", self.width, at_least=1, at_most=2**20)

    @property
    def zero_loss(self) -> float:
        """The training loss of the zero predictor."""
        return 1 / self.modulus
