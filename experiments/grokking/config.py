"""The options of a grokking run; the default sizes are the paper's."""

import dataclasses
from typing import Any, Literal

from experiments.harness.checks import INT32_MAX, Ranges, check, check_ranges
from experiments.harness.config import RunConfig, per_member

Schedule = Literal["constant", "cosine", "cyclic"]
Optimizer = Literal["adam", "adamw", "sgd", "grokfast", "hyperball", "muon"]
Operation = Literal["addition", "subtraction", "multiplication", "quadratic", "s5"]
NUM_PERMUTATIONS = 120  # elements of S5

_RANGES: Ranges = (
    # Devices compute x^2 + xy + y^2 and number the pairs in 32 bits.
    ({"at_least": 2, "at_most": 26_754}, ("modulus",)),
    # Each block is compiled on its own.
    ({"at_least": 1, "at_most": 100}, ("num_blocks",)),
    ({"above": 0, "below": 1}, ("train_fraction",)),
    (
        {"at_least": 1},
        (
            *("num_steps", "num_cycles", "project_every"),
            *("num_heads", "head_dim", "mlp_dim"),
        ),
    ),
    (
        {"at_least": 0},
        ("warmup_steps", "delay_steps", "cooldown_steps"),
    ),
    (
        {"above": 0},
        (
            *("learning_rate", "low_learning_rate", "radius_multiplier"),
            *("adam_eps", "position_scale"),
            *("max_update_rms", "max_elr", "max_logit"),
        ),
    ),
    ({"at_least": 0, "below": 1}, ("adam_b2", "grokfast_decay")),
    (
        {"at_least": 0},
        ("weight_decay", "scale_decay", "grokfast_amplitude"),
    ),
)


CHANGED: dict[str, Any] = {"position_scale": 1.0, "adam_b2": 0.999}
"""The values of these fields before they were fields."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains the transformer of Lyle et al. (2025) on arithmetic modulo p and tests it.

    Each update uses all training pairs. After a run, its directory holds metrics,
    figures, a summary and checkpoints. The same command continues an interrupted run.
    """

    operation: Operation = "addition"
    """Operation modulo p that the network learns: x + y, x - y, x * y or (quadratic)
    x^2 + xy + y^2. With s5 it learns the product of two of the 120 permutations of five
    things. The paper has addition."""
    modulus: int = 117
    """The p of the operation; the pairs are all 0 <= x, y < p. The paper has 117; s5
    does not use it."""
    train_fraction: float = 0.2
    """Share of the ordered pairs in the training set; the other pairs are the test set.
    The paper has 0.2."""
    num_steps: int = 2000
    """Number of updates. The paper has 1,000,000."""
    learning_rate: float = per_member(0.01)
    """Peak learning rate of the schedule. The paper has 1e-4 to 1e-2."""
    warmup_steps: int = per_member(100)
    """Number of updates of the linear warm-up. It starts from zero, or, in each cycle
    of the cyclic schedule, from the low learning rate. The paper has 1000."""
    schedule: Schedule = "constant"
    """Schedule of the learning rate. All begin with a warm-up. Then constant stays,
    cosine falls along half a cosine to the low learning rate, and cyclic repeats
    warm-up and fall several times."""
    cooldown_steps: int = per_member(0)
    """Number of updates at the end over which the constant schedule falls, along half a
    cosine, to the low learning rate."""
    num_cycles: int = 5
    """Number of cycles of the cyclic schedule, after the delay."""
    delay_steps: int = per_member(0, "delay_steps", "cycle_steps")
    """Number of updates at the low learning rate before the schedule starts."""
    low_learning_rate: float = per_member(1e-4)
    """Learning rate during the delay, and at the end of the cosine, of each cycle and
    of the cool-down."""
    weight_decay: float = per_member(0.0)
    """Decay of the matrices, decoupled and times the learning rate (with adamw, of all
    leaves). The paper has 0.01 to 10."""
    scale_decay: float = per_member(0.0)
    """Decay of the normalisation scales, decoupled and times the learning rate. The
    paper has 0, 1 and 10."""
    normalize: bool = False
    """Adds an RMSNorm before the attention, before the MLP and before the read-out."""
    project: bool = True
    """Holds the Frobenius norm of each matrix at its initial value, by projection."""
    project_every: int = 1
    """Number of updates from one projection to the next. The paper has 100 in figure 2,
    left."""
    project_tables: bool = True
    """Includes the token and the position table in the projection."""
    project_readout: bool = True
    """Includes the unembedding in the projection."""
    radius_multiplier: float = per_member(1.0)
    """Factor of the initial matrices, and so of the norms that projection holds."""
    optimizer: Optimizer = "adam"
    """Optimizer. AdamW is optax's, which decays every leaf; the others decay matrices
    only. Grokfast is Adam on gradients with their slow part amplified; hyperball is
    Adam with updates scaled to the norm of the weights; muon leaves the tables and the
    read-out to Adam. The paper has Adam."""
    adam_b2: float = per_member(0.95)
    """Decay factor of Adam's second moment. The paper says "default values" and prints
    none; at the usual 0.999 our networks collapse where the paper's do not
    (docs/grokking.md, "How the paper's model is read")."""
    adam_eps: float = per_member(1e-8)
    """Number that Adam adds to the root of its second moment; muon keeps its own."""
    max_update_rms: float | None = None
    """Largest root mean square of each leaf's direction, which is clipped to it as in
    Adafactor."""
    max_elr: float | None = None
    """Largest effective learning rate of each matrix: the norm of an update over the
    norm of the matrix."""
    max_logit: float | None = None
    """Soft bound of the logits z, as max_logit * tanh(z / max_logit)."""
    precise_loss: bool = False
    """Computes the loss exactly for confident predictions, where float32's log-softmax
    rounds to 0."""
    diagnose: bool = False
    """Also logs what precedes a collapse: see docs/grokking.md."""
    grokfast_decay: float = 0.98
    """Decay factor of Grokfast's running mean of the gradients."""
    grokfast_amplitude: float = 2.0
    """Factor of the running mean that Grokfast adds to the gradients."""
    num_blocks: int = 1
    """Number of blocks of attention and MLP. The paper's text says one, its table says
    two layers. Two blocks take some nine times as long as one."""
    num_heads: int = 4
    """Number of attention heads of a block. The paper has 4."""
    head_dim: int = 32
    """Width of a head; the model's width is num_heads * head_dim. The paper has 32."""
    mlp_dim: int = 512
    """Number of hidden units of the MLP. The paper has 512."""
    position_scale: float = per_member(0.1)
    """Initial standard deviation of the position table, over that of the token table.
    The paper does not give it. We infer that it is small, because the paper's networks
    treat x and y alike."""
    seed: int = 0
    """Seed of the split and of the initial weights."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_ranges(self, _RANGES)
        check(
            "head_dim",
            self.head_dim,
            self.num_heads * self.head_dim <= INT32_MAX,
            f"such that num_heads * head_dim is at most {INT32_MAX}",
        )
        self._check_together()
        self._check_optimizer()

    def _check_together(self) -> None:
        if self.schedule == "cyclic":
            left = self.num_steps - self.delay_steps
            check(
                "num_cycles",
                self.num_cycles,
                self.num_cycles <= left,
                f"at most the {left} updates after the delay",
            )
        pairs = self.num_elements**2
        check(
            "train_fraction",
            self.train_fraction,
            0 < self.num_train_pairs < pairs,
            f"such that both sets have a pair; there are {pairs} in all",
        )
        check(
            "delay_steps",
            self.delay_steps,
            self.delay_steps < self.num_steps,
            f"less than num_steps={self.num_steps}, or the schedule never starts",
        )
        check(
            "warmup_steps",
            self.warmup_steps,
            self.schedule == "constant" or self.warmup_steps < self.cycle_steps,
            f"less than the {self.cycle_steps} updates of the {self.schedule} schedule"
            + (" in each cycle" if self.schedule == "cyclic" else ""),
        )
        if self.cooldown_steps:
            left = self.cycle_steps - self.warmup_steps
            check(
                "cooldown_steps",
                self.cooldown_steps,
                self.schedule == "constant" and self.cooldown_steps <= left,
                f"at most the {left} updates after the warm-up, with schedule=constant",
            )

    def _check_optimizer(self) -> None:
        check(
            "scale_decay",
            self.scale_decay,
            self.scale_decay == 0 or self.normalize,
            "0 without normalisation layers: add --normalize",
        )
        check(
            "optimizer",
            self.optimizer,
            self.optimizer != "hyperball" or self.project,
            "another without projection, which hyperball needs: or drop --no-project",
        )
        check(
            "diagnose",
            self.diagnose,
            not self.diagnose or self.optimizer not in ("sgd", "muon"),
            "off with sgd and muon: it needs Adam's second moment of every leaf",
        )
        for name in ("max_update_rms", "max_elr"):
            check(
                name,
                getattr(self, name),
                getattr(self, name) is None or self.optimizer != "hyperball",
                "None with hyperball, which sets the norm of updates itself",
            )
        for name in ("project_tables", "project_readout"):
            check(
                name,
                getattr(self, name),
                getattr(self, name) or self.project,
                "on without projection: drop it or --no-project",
            )

    @property
    def num_elements(self) -> int:
        """Number of elements (numbers or permutations) that the operation combines."""
        return NUM_PERMUTATIONS if self.operation == "s5" else self.modulus

    @property
    def num_train_pairs(self) -> int:
        """Size of the training set: the fraction of all ordered pairs, rounded."""
        return round(self.train_fraction * self.num_elements**2)

    @property
    def cycle_steps(self) -> int:
        """Number of updates of one course of the schedule, after the delay."""
        num_cycles = self.num_cycles if self.schedule == "cyclic" else 1
        return (self.num_steps - self.delay_steps) // num_cycles
