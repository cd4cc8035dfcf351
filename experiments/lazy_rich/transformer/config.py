"""Settings of a lazy transformer."""

import dataclasses
import math

from experiments.harness.checks import check_range
from experiments.harness.config import per_member
from experiments.lazy_rich.config import Optimizer, PairsConfig


@dataclasses.dataclass(frozen=True)
class Config(PairsConfig):
    """Addition modulo p by a one-layer transformer, on the cross-entropy.

    The defaults are small; the paper has p = 113, four heads of 32, an MLP of 512 units
    and 30 % of the pairs.
    """

    modulus: int = 31
    """p. The pairs are all ordered pairs with 0 <= x, y < p. The paper has 113."""
    train_fraction: float = 0.75
    """This share of the pairs is the training set. The paper has 0.3."""
    num_heads: int = 4
    """The block has this many attention heads."""
    head_dim: int = 16
    """Width of a head. The paper has 32."""
    mlp_dim: int = 128
    """The MLP has this many hidden units. The paper has 512."""
    num_steps: int = 4000
    """The run has this many updates, each of the whole training set."""
    learning_rate: float = per_member(1e-3)
    """η₀. Gradient descent, with or without momentum, uses this over alpha squared.
    Adam and AdamW use it as it is."""
    center: bool = False
    """The output of the initial network is subtracted, so that the output starts at
    zero."""
    optimizer: Optimizer = "adamw"
    """Gradient descent (gd), momentum, Adam, or AdamW with its weight decay."""
    adam_b2: float = per_member(0.98)
    """Decay of the second moment of Adam and AdamW."""
    weight_decay: float = per_member(1.0)
    """AdamW decays the weights by this, times the learning rate."""
    eval_every: int = 50
    """Losses are measured every this many updates."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        for name in ("num_heads", "head_dim", "mlp_dim"):
            check_range(name, getattr(self, name), at_least=1, at_most=2**12)

    @property
    def zero_loss(self) -> float:
        """The training loss of the zero predictor."""
        return math.log(self.modulus)
