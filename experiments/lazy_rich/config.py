"""Settings of every task: how lazy the network is, and how it is trained."""

import dataclasses
import math
from typing import Literal

from experiments.harness.checks import check, check_range, check_unread
from experiments.harness.config import RunConfig, per_member

Optimizer = Literal["gd", "momentum", "adam", "adamw"]

LAZY_RATES = ("gd", "momentum")
"""Optimizers with a rate that is scaled with the laziness."""


@dataclasses.dataclass(frozen=True)
class LazyConfig(RunConfig):
    """The settings that the tasks share; a task adds its own fields."""

    num_steps: int = 10_000
    """The run has this many updates, each of the whole training set."""
    alpha: float = per_member(1.0)
    """The output is multiplied by this: the larger it is, the lazier is the network."""
    learning_rate: float = per_member(1.0)
    """η₀. Gradient descent, with or without momentum, uses this over alpha squared
    (times the width, where units are averaged). Adam and AdamW use it as it is."""
    center: bool = True
    """The output of the initial network is subtracted, so that the output starts at
    zero."""
    optimizer: Optimizer = "gd"
    """Gradient descent (gd), momentum, Adam, or AdamW with its weight decay."""
    momentum: float = per_member(0.95)
    """With optimizer=momentum, gradients are summed with this decay. The rate that
    equals one of gradient descent is smaller by a factor of 1 - momentum."""
    adam_b2: float = per_member(0.999)
    """Decay of the second moment of Adam and AdamW."""
    weight_decay: float = per_member(0.0)
    """AdamW decays the weights by this, times the learning rate."""
    project: bool = False
    """Projection holds the norm of each matrix at its initial value."""
    tangential: bool = False
    """With projection, the optimizer sees gradients without their radial part, which
    projection would undo."""
    num_rewarms: int = 0
    """The learning rate warms up and comes down this many times, in equal cycles over
    the updates after the delay. With 0 it is constant."""
    rewarm_factor: float = per_member(10.0)
    """Each cycle peaks at this many times the learning rate, and ends at the rate."""
    delay_steps: int = 0
    """The learning rate is constant for this many updates before the first cycle."""
    diagnose: bool = False
    """The run also logs how far features and tangent kernel have moved."""
    eval_every: int = 10
    """Losses are measured every this many updates."""
    seed: int = 0
    """Seed of the data and the initial weights."""

    @property
    def zero_loss(self) -> float:
        """The training loss of the zero predictor, roughly."""
        return 1.0

    def __post_init__(self) -> None:
        """Checks these fields.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_range("num_steps", self.num_steps, at_least=1)
        check_range("learning_rate", self.learning_rate, above=0)
        # Beyond, α² times the width leaves the range of float32.
        check_range("alpha", self.alpha, at_least=1e-6, at_most=1e6)
        for name in ("momentum", "adam_b2"):
            check_range(name, getattr(self, name), at_least=0, below=1)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check(
            "weight_decay",
            self.weight_decay,
            self.weight_decay == 0 or self.optimizer == "adamw",
            "0 without --optimizer adamw, which decays weights",
        )
        uses_adam, rewarms = self.optimizer in ("adam", "adamw"), self.num_rewarms > 0
        uses_momentum = self.optimizer == "momentum"
        fields = (
            (uses_momentum, ("momentum",), "without --optimizer momentum"),
            (uses_adam, ("adam_b2",), "without --optimizer adam"),
            (rewarms, ("rewarm_factor",), "without --num-rewarms"),
        )
        check_unread(self, fields)
        check(
            "tangential",
            self.tangential,
            self.project or not self.tangential,
            "off without projection: add --project",
        )
        self._check_cycles()

    def _check_cycles(self) -> None:
        check_range("rewarm_factor", self.rewarm_factor, above=0)
        check_range("delay_steps", self.delay_steps, at_least=0)
        check_range("num_rewarms", self.num_rewarms, at_least=0)
        check(
            "delay_steps",
            self.delay_steps,
            self.num_rewarms > 0 or self.delay_steps == 0,
            "0 without re-warming: add --num-rewarms",
        )
        left = self.num_steps - self.delay_steps
        check(
            "num_rewarms",
            self.num_rewarms,
            self.num_rewarms == 0 or left >= 10 * self.num_rewarms,
            f"at most a tenth of the {left} updates after the delay",
        )


MAX_MODULUS = math.isqrt(2**31 - 1)


@dataclasses.dataclass(frozen=True)
class PairsConfig(LazyConfig):
    """Settings of tasks with pairs of numbers as examples."""

    modulus: int = 23
    """p. The pairs are all ordered pairs with 0 <= x, y < p."""
    train_fraction: float = 0.9
    """This share of the pairs is the training set, the rest is the test set."""

    def __post_init__(self) -> None:
        """Checks these fields.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        # Pairs are numbered in int32. A run checks whether they fit into memory.
        check_range("modulus", self.modulus, at_least=2, at_most=MAX_MODULUS)
        check_range("train_fraction", self.train_fraction, above=0, below=1)
        pairs = self.modulus**2
        check(
            "train_fraction",
            self.train_fraction,
            0 < self.num_train < pairs,
            f"such that both sets have a pair; there are {pairs} in all",
        )

    @property
    def num_train(self) -> int:
        """Size of the training set."""
        return round(self.train_fraction * self.modulus**2)

    @property
    def most_at_once(self) -> int:
        """Pairs that go through the network together: those of the larger set."""
        return max(self.num_train, self.modulus**2 - self.num_train)
