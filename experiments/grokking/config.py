"""What a grokking run can be asked for; the defaults are the paper's sizes."""

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
    # Each is compiled on its own.
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
"""What these were before they were fields."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains the transformer of Lyle et al. (2025) on arithmetic modulo p and tests it.

    Full batch; after a run, the directory holds its metrics, figures, summary and
    checkpoints. The same command continues an interrupted run.
    """

    operation: Operation = "addition"
    """The network learns this operation modulo p: x + y, x - y, x * y or (quadratic)
    x^2 + xy + y^2. With s5 it learns the product of two of the 120 permutations of five
    things. The paper has addition."""
    modulus: int = 117
    """p: the pairs are all 0 <= x, y < p. The paper has 117; s5 does not use it."""
    train_fraction: float = 0.2
    """This share of the ordered pairs is the training set, the rest is the test set.
    The paper has 0.2."""
    num_steps: int = 2000
    """The run has this many updates. The paper has 1,000,000."""
    learning_rate: float = per_member(0.01)
    """The schedule peaks at this rate. The paper has 1e-4 to 1e-2."""
    warmup_steps: int = per_member(100)
    """The rate rises linearly over this many updates, from zero, or, in each cycle of
    the cyclic schedule, from the low learning rate. The paper has 1000."""
    schedule: Schedule = "constant"
    """The rate warms up and stays (constant), warms up and falls along half a cosine
    to the low learning rate (cosine), or does the latter several times (cyclic)."""
    cooldown_steps: int = per_member(0)
    """The constant schedule falls to the low learning rate over this many last updates,
    along half a cosine."""
    num_cycles: int = 5
    """The cyclic schedule has this many cycles, over the updates after the delay."""
    delay_steps: int = per_member(0, "delay_steps", "cycle_steps")
    """The low learning rate holds for this many updates before the schedule starts."""
    low_learning_rate: float = per_member(1e-4)
    """The rate is this during the delay, and where the cosine, the cycles and the
    cool-down end."""
    weight_decay: float = per_member(0.0)
    """Matrices decay by this, decoupled and times the learning rate (adamw: all leaves
    do). The paper has 0.01 to 10."""
    scale_decay: float = per_member(0.0)
    """Normalisation scales decay by this, decoupled and times the learning rate. The
    paper has 0, 1 and 10."""
    normalize: bool = False
    """The network has RMSNorm before the attention, before the MLP and before the
    read-out."""
    project: bool = True
    """Projection holds the Frobenius norm of each matrix at its initial value."""
    project_every: int = 1
    """Weights are projected once every this many updates. The paper has 100 in figure
    2, left."""
    project_tables: bool = True
    """Projection includes the token and the position table."""
    project_readout: bool = True
    """Projection includes the unembedding."""
    radius_multiplier: float = per_member(1.0)
    """The initial matrices are multiplied by this, and so are the norms that projection
    holds."""
    optimizer: Optimizer = "adam"
    """This one turns gradients into updates. AdamW is optax's, which decays every leaf;
    the others decay matrices only. Grokfast is Adam on gradients whose slow part is
    amplified; hyperball is Adam with updates scaled to the norm of the weights; muon
    leaves the tables and the read-out to Adam. The paper has Adam."""
    adam_b2: float = per_member(0.95)
    """Adam's second moment decays by this factor. The paper says "default values" and
    prints none; at the usual 0.999 our networks collapse where the paper's do not
    (docs/grokking.md, "How the paper's model is read")."""
    adam_eps: float = per_member(1e-8)
    """Adam adds this to the root of its second moment; muon keeps its own."""
    max_update_rms: float | None = None
    """Each leaf's direction is clipped to this root mean square, as Adafactor does."""
    max_elr: float | None = None
    """The effective learning rate of each matrix, the norm of an update over the norm
    of the matrix, is at most this."""
    max_logit: float | None = None
    """Logits z are bounded softly, as max_logit * tanh(z / max_logit)."""
    precise_loss: bool = False
    """The loss is exact for confident predictions, where float32's log-softmax rounds
    to 0."""
    diagnose: bool = False
    """The run also logs what precedes a collapse: see docs/grokking.md."""
    grokfast_decay: float = 0.98
    """Grokfast's running mean of the gradients decays by this factor."""
    grokfast_amplitude: float = 2.0
    """Grokfast adds this many times that mean to the gradients."""
    num_blocks: int = 1
    """The network has this many blocks of attention and MLP: one, as the paper's text
    says, or more (its table says two layers), which take some nine times as long."""
    num_heads: int = 4
    """A block has this many attention heads. The paper has 4."""
    head_dim: int = 32
    """A head has this width; the model's width is num_heads * head_dim. The paper has
    32."""
    mlp_dim: int = 512
    """The MLP has this many hidden units. The paper has 512."""
    position_scale: float = per_member(0.1)
    """The position table starts with this times the standard deviation of the token
    table. The paper does not give it; its networks treat x and y alike, from which we
    infer that it is small."""
    seed: int = 0
    """The split and the initial weights are drawn with this seed."""

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
            "another without projection, which hyperball needs: drop --no-project",
        )
        check(
            "diagnose",
            self.diagnose,
            not self.diagnose or self.optimizer not in ("sgd", "muon"),
            "off with sgd and muon: it reads the second moment of an Adam for all",
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
                "on without projection: it says what projection leaves out",
            )

    @property
    def num_elements(self) -> int:
        """How many numbers (or permutations) there are to combine."""
        return NUM_PERMUTATIONS if self.operation == "s5" else self.modulus

    @property
    def num_train_pairs(self) -> int:
        """Size of the training set: the fraction of all ordered pairs, rounded."""
        return round(self.train_fraction * self.num_elements**2)

    @property
    def cycle_steps(self) -> int:
        """Updates in which the schedule runs its course once, after the delay."""
        num_cycles = self.num_cycles if self.schedule == "cyclic" else 1
        return (self.num_steps - self.delay_steps) // num_cycles
