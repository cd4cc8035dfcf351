"""Settings of the mean-field theory."""

import dataclasses

from experiments.harness.checks import check, check_range
from experiments.harness.config import RunConfig, per_member


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Mean-field theory of the polynomial task: losses without training a network.

    Dimensions and examples are infinitely many at a fixed ratio. There is a unit for
    each overlap. A row is the mean over independent replicas of the samples, with its
    standard error.
    """

    nu: float = per_member(5.0)
    """Examples for each dimension."""
    num_steps: int = 60
    """Updates of gradient descent."""
    alpha: float = per_member(1.0)
    """The output is multiplied by this: the larger it is, the lazier is the network."""
    epsilon: float = per_member(1.0)
    """A unit is h + epsilon / 2 h^2."""
    time_step: float = per_member(0.1)
    """Length of an update: twice the η₀ of `polynomial`, over the dimension."""
    overlaps: tuple[float, ...] = (0.3, 0.1)
    """The network averages a unit for each of these numbers. Each is the product of the
    unit's initial weights with the target's direction, over the dimension."""
    power: float = per_member(0.5)
    """Each unit's initial squared norm, over the dimension. Beside the direction of the
    target, the units are as orthogonal as their overlaps allow."""
    center: bool = False
    """The output of the initial network is subtracted, so that the output starts at
    zero."""
    num_samples: int = 6000
    """Samples of a training example in each replica."""
    num_replicas: int = 4
    """Replicas that are averaged; standard errors are between them."""
    eval_every: int = 1
    """A row of metrics is written every this many updates."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("num_steps", self.num_steps, at_least=1, at_most=10_000)
        for name in ("nu", "time_step", "power"):
            check_range(name, getattr(self, name), above=0)
        # Beyond, the effects of one unit and of all units cancel in float32.
        check_range("alpha", self.alpha, at_least=1e-3, at_most=1e3)
        check_range("epsilon", self.epsilon, at_least=0, at_most=1e3)
        check(
            "overlaps",
            " ".join(f"{overlap:g}" for overlap in self.overlaps),
            2 <= len(self.overlaps) <= 100,
            "from 2 to 100 numbers, one for each unit (one alone cannot cancel its "
            "linear part)",
        )
        check(
            "power",
            self.power,
            sum(overlap**2 for overlap in self.overlaps) <= self.power,
            "at least the sum of the squares of the overlaps",
        )
        check_range("num_samples", self.num_samples, at_least=2, at_most=2**24)
        check_range("num_replicas", self.num_replicas, at_least=2, at_most=1000)

    @property
    def width(self) -> int:
        """Units of the network."""
        return len(self.overlaps)
