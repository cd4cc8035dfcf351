"""Settings of a run on a polynomial of Hermite's."""

import dataclasses

from experiments.harness.checks import check, check_range
from experiments.harness.config import per_member
from experiments.lazy_rich.config import LazyConfig


@dataclasses.dataclass(frozen=True)
class Config(LazyConfig):
    """Regression of He_k of one projection, over the root of k!, tested on samples.

    The units also have He_k, so the network can express its target if alpha * epsilon /
    2 is large enough: about 1 / sqrt(k!) at an even degree.
    """

    degree: int = 3
    """k. The target's mean square is 1 for any k."""
    dimension: int = 20
    """An input has this many normal components, of variance 1 / dimension."""
    num_train: int = 300
    """The training set has this many examples."""
    num_test: int = 2000
    """The test set has this many examples."""
    width: int = 100
    """The network averages this many units."""
    epsilon: float = per_member(0.05)
    """A unit is h + epsilon / 2 He_k(h)."""
    alpha: float = per_member(2.0)
    """The output is multiplied by this: the larger it is, the lazier is the network."""
    learning_rate: float = per_member(1.0)
    """η₀. Gradient descent, with or without momentum, uses this times the width, over
    alpha squared. Adam and AdamW use it as it is: set about 0.001."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("degree", self.degree, at_least=2, at_most=8)
        sizes = ("dimension", "num_train", "num_test", "width")
        for name in sizes:
            check_range(name, getattr(self, name), at_least=1, at_most=2**20)
        check_range("epsilon", self.epsilon, at_least=0, at_most=1e3)
        rows = max(self.num_train, self.num_test, self.dimension)
        check(
            "width",
            self.width,
            rows * max(self.width, self.dimension) < 2**31,
            "such that inputs, weights and units have fewer than 2**31 numbers each",
        )
