"""Settings of a run on modular addition."""

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
    """Each hidden unit is squared (quadratic) or keeps its positive part (relu)."""
    scaling: Literal["ntk", "mean_field"] = "ntk"
    """Outputs are sums of the hidden units over the root of the width (ntk), or their
    averages (mean_field)."""
    learning_rate: float = per_member(100.0)
    """η₀. Gradient descent, with or without momentum, uses this over alpha squared.
    With scaling=mean_field it uses this times the width, so set 10. Adam and AdamW use
    it as it is: set about 0.001."""

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
