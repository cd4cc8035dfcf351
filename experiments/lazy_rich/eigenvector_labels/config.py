"""Settings of a run on eigenvectors as labels."""

import dataclasses

from experiments.harness.checks import check, check_range
from experiments.harness.config import per_member
from experiments.lazy_rich.config import LazyConfig


@dataclasses.dataclass(frozen=True)
class Config(LazyConfig):
    """Labels from one eigenvector of the initial kernel: from easy to hard to align.

    The kernel is that of infinitely many units on training and test inputs together, so
    that both have labels. The training set is drawn from them at random.
    """

    dimension: int = 100
    """An input has this many normal components, of variance 1 / dimension."""
    num_train: int = 120
    """The training set has this many examples."""
    num_test: int = 120
    """The test set has this many examples."""
    eigenvector: int = 50
    """The labels are this eigenvector; number 1 has the largest eigenvalue."""
    width: int = 100
    """The network averages this many units."""
    epsilon: float = per_member(0.1)
    """A unit is h + epsilon / 2 h^2."""
    learning_rate: float = per_member(2.0)
    """η₀. Gradient descent, with or without momentum, uses this times the width, over
    alpha squared. Adam and AdamW use it as it is: set about 0.001."""
    num_steps: int = 6000
    """The run has this many updates, each of the whole training set."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        for name in ("dimension", "width"):
            check_range(name, getattr(self, name), at_least=1, at_most=2**15)
        # The kernel of all inputs is factorised.
        for name in ("num_train", "num_test"):
            check_range(name, getattr(self, name), at_least=1, at_most=2**12)
        check_range("epsilon", self.epsilon, at_least=0, at_most=1e3)
        check(
            "eigenvector",
            self.eigenvector,
            1 <= self.eigenvector <= self.num_inputs,
            f"one of the {self.num_inputs} of training and test inputs together",
        )

    @property
    def num_inputs(self) -> int:
        """Examples of both sets."""
        return self.num_train + self.num_test
