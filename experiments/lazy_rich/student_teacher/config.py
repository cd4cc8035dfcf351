"""Settings of a student and its teacher."""

import dataclasses

from experiments.harness.checks import check, check_range
from experiments.harness.config import per_member
from experiments.lazy_rich.config import LazyConfig, Optimizer


@dataclasses.dataclass(frozen=True)
class Config(LazyConfig):
    """A tanh student that learns a random tanh teacher, with weight decay."""

    num_train: int = 200
    """The training set has this many examples."""
    num_test: int = 1000
    """The test set has this many examples."""
    num_inputs: int = 5
    """An input has this many standard normal components."""
    num_outputs: int = 5
    """Teacher and student have this many outputs."""
    width: int = 100
    """Each of the two hidden layers has this many units."""
    init_scale: float = per_member(2.0)
    """The student's initial weights and biases are this many times as large as the
    teacher's."""
    tolerance: float = per_member(1e-3)
    """An example is right if its squared error, the mean over outputs, is below
    this."""
    num_steps: int = 20_000
    """The run has this many updates, each of the whole training set."""
    learning_rate: float = per_member(1e-3)
    """η₀. Gradient descent, with or without momentum, uses this over alpha squared.
    Adam and AdamW use it as it is."""
    center: bool = False
    """The output of the initial network is subtracted, so that the output starts at
    zero."""
    optimizer: Optimizer = "adamw"
    """Gradient descent (gd), momentum, Adam, or AdamW with its weight decay."""
    weight_decay: float = per_member(0.05)
    """AdamW decays the weights by this, times the learning rate."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        sizes = ("num_train", "num_test", "num_inputs", "num_outputs", "width")
        for name in sizes:
            check_range(name, getattr(self, name), at_least=1, at_most=2**20)
        check_range("init_scale", self.init_scale, at_least=1e-3, at_most=1e3)
        check_range("tolerance", self.tolerance, above=0)
        widest = max(self.width, self.num_inputs, self.num_outputs)
        check(
            "width",
            self.width,
            widest * max(self.num_train, self.num_test, self.width) < 2**31,
            "such that no layer has 2**31 numbers or more",
        )
