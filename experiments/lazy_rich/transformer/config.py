"""What a lazy transformer can be asked for."""

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
    """p: the pairs are all 0 <= x, y < p, ordered. The paper has 113."""
    train_fraction: float = 0.75
    """This share of the pairs is the training set. The paper has 0.3."""
    num_heads: int = 4
    """The block has this many attention heads."""
    head_dim: int = 16
    """A head has this width. The paper has 32."""
    mlp_dim: int = 128
    """The MLP has this many hidden units. The paper has 512."""
    num_steps: int = 4000
    """The run has this many updates, each of the whole training set."""
    learning_rate: float = per_member(1e-3)
    """η₀: gradient descent, with momentum or without, has this rate over alpha squared.
    Adam and AdamW have it as it is."""
    center: bool = False
    """The output is less that of the initial network, so that it starts at zero."""
    optimizer: Optimizer = "adamw"
    """Gradient descent (gd), with momentum, Adam, or AdamW with its weight decay."""
    adam_b2: float = per_member(0.98)
    """Adam's and AdamW's second moment decays by this."""
    weight_decay: float = per_member(1.0)
    """AdamW's weights decay by this, times the learning rate."""
    eval_every: int = 50
    """Losses are measured once every this many updates."""

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
