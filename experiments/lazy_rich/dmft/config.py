"""What the mean-field theory can be asked for."""

import dataclasses

from experiments.harness.checks import check, check_range
from experiments.harness.config import RunConfig, per_member


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Mean-field theory of the polynomial task: losses without training a network.

    Dimensions and examples are infinitely many at a fixed ratio, the units are as many
    as there are overlaps. A row is the mean over independent replicas of the samples,
    with its standard error.
    """

    nu: float = per_member(5.0)
    """There are this many examples for each dimension."""
    num_steps: int = 60
    """The theory has this many updates of gradient descent."""
    alpha: float = per_member(1.0)
    """The network's output is multiplied by this: the larger, the lazier."""
    epsilon: float = per_member(1.0)
    """A unit is h + epsilon / 2 h^2."""
    time_step: float = per_member(0.1)
    """An update is so long: twice the η₀ of `polynomial`, over the dimension."""
    overlaps: tuple[float, ...] = (0.3, 0.1)
    """The network averages a unit for each of these, its product with the target's
    direction at first, over the dimension."""
    power: float = per_member(0.5)
    """Each unit's squared norm at first, over the dimension; beside the direction of
    the target the units are as orthogonal as their overlaps allow."""
    center: bool = False
    """The output is less that of the initial network, so that it starts at zero."""
    num_samples: int = 6000
    """A replica has this many samples of a training example."""
    num_replicas: int = 4
    """So many replicas are averaged; standard errors are between them."""
    eval_every: int = 1
    """A row of metrics is written once every this many updates."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("num_steps", self.num_steps, at_least=1, at_most=10_000)
        for name in ("nu", "time_step", "power"):
            check_range(name, getattr(self, name), above=0)
        # Beyond, what a unit does and what all do together cancel in float32.
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
