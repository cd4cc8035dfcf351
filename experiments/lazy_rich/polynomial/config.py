"""Settings of a run on the polynomial task."""

import dataclasses

from experiments.harness.checks import check, check_range
from experiments.harness.config import per_member
from experiments.lazy_rich.config import LazyConfig

MOST_IN_KERNEL = 4096
"""Most training examples whose kernel is computed; its eigenvalues take ten seconds."""


@dataclasses.dataclass(frozen=True)
class Config(LazyConfig):
    """Regression of squares of normals by a committee machine, tested in closed form.

    Gradient descent is computed for moments of the units, which is exact and costs the
    same at any width. Other optimizers train the units' weights.
    """

    dimension: int = 50
    """An input has this many normal components, of variance 1 / dimension."""
    num_train: int = 250
    """The training set has this many examples."""
    num_directions: int = 1
    """The target is half the sum of the squared projections on this many directions.
    The paper's main text has 1."""
    width: int = 500
    """The network averages this many units."""
    epsilon: float = per_member(0.1)
    """A unit is h + epsilon / 2 h^2. The smaller epsilon, the less the initial network
    sees of the target."""
    readouts: bool = False
    """Each unit has a trained readout, normal at first. Otherwise all readouts are
    1."""
    weight_scale: float = per_member(1.0)
    """The initial weights have this standard deviation."""
    label_scale: float = per_member(1.0)
    """The targets are multiplied by this. Losses are divided by its square, so that
    they are comparable."""
    solution_share: float = per_member(0.0)
    """The initial weights of each unit also have this share of a solution: the
    direction of the target over the root of alpha * epsilon, with either sign equally
    often."""
    learning_rate: float = per_member(2.0)
    """η₀. Gradient descent, with or without momentum, uses this times the width, over
    alpha squared. Adam and AdamW use it as it is: set about 0.001."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        for name in ("dimension", "num_train", "num_directions", "width"):
            check_range(name, getattr(self, name), at_least=1)
        check_range("epsilon", self.epsilon, at_least=0, at_most=1e3)
        for name in ("weight_scale", "label_scale"):
            check_range(name, getattr(self, name), at_least=1e-3, at_most=1e3)
        check_range("solution_share", self.solution_share, at_least=0, at_most=1)
        check(
            "solution_share",
            self.solution_share,
            self.solution_share == 0 or self._has_solution,
            "0 unless a solution is known: with one direction, an epsilon above 0, "
            "optimizer=gd and no readouts",
        )
        check(
            "dimension",
            self.dimension,
            self.dimension * max(self.num_train, self.width, self.dimension) < 2**31,
            "such that there are fewer than 2**31 weights and numbers in all inputs",
        )

    @property
    def by_moments(self) -> bool:
        """Whether the run trains moments of the weights."""
        changed = self.readouts or self.project or self.num_rewarms or self.diagnose
        return self.optimizer == "gd" and not changed

    @property
    def _has_solution(self) -> bool:
        return self.by_moments and self.num_directions == 1 and self.epsilon > 0

    @property
    def zero_loss(self) -> float:
        """The training loss of the zero predictor, in expectation."""
        return (self.num_directions**2 + 2 * self.num_directions) / 4
