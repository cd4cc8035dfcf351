"""What a grokking run can be asked for; the defaults are the paper's sizes."""

import dataclasses
from typing import Any, Literal

from experiments.harness.checks import check, check_range
from experiments.harness.config import RunConfig, batched

Schedule = Literal["constant", "cosine", "cyclic"]
Optimizer = Literal["adam", "adamw", "sgd", "grokfast", "hyperball", "muon"]
Operation = Literal["addition", "subtraction", "multiplication", "quadratic", "s5"]
NUM_PERMUTATIONS = 120  # elements of S5

_INFINITY = float("inf")
_RANGES: tuple[tuple[dict[str, float], tuple[str, ...]], ...] = (
    ({"at_least": 2}, ("modulus",)),
    ({"above": 0, "below": 1}, ("train_fraction",)),
    (
        {"at_least": 1},
        (
            *("num_steps", "num_cycles", "project_every"),
            *("num_blocks", "num_heads", "head_dim", "mlp_dim"),
        ),
    ),
    (
        {"at_least": 0},
        ("warmup_steps", "delay_steps", "cooldown_steps"),
    ),
    (
        {"above": 0, "below": _INFINITY},
        (
            *("learning_rate", "low_learning_rate", "radius_multiplier"),
            *("adam_eps", "position_scale"),
            *("max_update_rms", "max_elr", "max_logit"),
        ),
    ),
    ({"at_least": 0, "below": 1}, ("adam_b2", "grokfast_decay")),
    (
        {"at_least": 0, "below": _INFINITY},
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
    """What to learn, modulo p: x + y, x - y, x * y or (quadratic) x^2 + xy + y^2; or
    the product of two of the 120 permutations of five things (s5)."""
    modulus: int = 117
    """p: there are p * p ordered pairs with 0 <= x, y < p. S5 does not use it."""
    train_fraction: float = 0.2
    """Share of the ordered pairs to train on; the rest is the test set."""
    num_steps: int = 2000
    """Updates (the paper: 1,000,000)."""
    learning_rate: float = batched(0.01)
    """Peak of the schedule."""
    warmup_steps: int = batched(100)
    """Updates of linear warm-up from zero (the paper: 1000)."""
    schedule: Schedule = "constant"
    """What follows the warm-up: constant, half a cosine down to the low learning
    rate, or cycles of warm-up and cosine."""
    cooldown_steps: int = batched(0)
    """Last updates of the constant schedule, in which it falls along half a cosine
    to the low learning rate."""
    num_cycles: int = 5
    """Cycles of the cyclic schedule, over the updates after the delay."""
    delay_steps: int = batched(0, "delay_steps", "cycle_steps")
    """Updates at the low learning rate before the schedule starts."""
    low_learning_rate: float = batched(1e-4)
    """The rate during the delay, and where the cosine and the cycles end."""
    weight_decay: float = batched(0.0)
    """Decoupled decay, times the learning rate, of the matrices (adamw: of all)."""
    scale_decay: float = batched(0.0)
    """Decoupled decay, times the learning rate, of the normalisation scales."""
    normalize: bool = False
    """RMSNorm before the attention, before the MLP and before the read-out."""
    project: bool = True
    """Hold the Frobenius norm of each matrix at its initial value."""
    project_every: int = 1
    """Updates from one projection to the next."""
    project_tables: bool = True
    """Whether the token and the position table are projected."""
    project_readout: bool = True
    """Whether the unembedding is projected."""
    radius_multiplier: float = batched(1.0)
    """Multiplies the initial matrices, and so the norms that projection holds."""
    optimizer: Optimizer = "adam"
    """AdamW is optax's, which decays every leaf; the others decay matrices only.
    Grokfast is Adam on gradients whose slow part is amplified; hyperball is Adam with
    updates scaled to the norm of the weights; muon leaves the tables and the read-out
    to Adam."""
    adam_b2: float = batched(0.95)
    """Decay of Adam's second moment. The paper says "default values" and prints none;
    at the usual 0.999 our networks collapse where the paper's do not
    (docs/grokking.md, "How the paper's model is read")."""
    adam_eps: float = batched(1e-8)
    """What Adam adds to the root of its second moment (muon keeps its own)."""
    max_update_rms: float | None = None
    """Clips each leaf's direction to this root mean square (as Adafactor does)."""
    max_elr: float | None = None
    """Caps the effective learning rate of each matrix: the norm of an update over the
    norm of the matrix."""
    max_logit: float | None = None
    """Bounds logits z softly, as max_logit * tanh(z / max_logit)."""
    precise_loss: bool = False
    """A loss that is exact for confident predictions, where float32's log-softmax
    rounds to 0."""
    diagnose: bool = False
    """Also log what precedes a collapse: see docs/grokking.md."""
    grokfast_decay: float = 0.98
    """Of grokfast's running mean of the gradients."""
    grokfast_amplitude: float = 2.0
    """How many times grokfast adds that mean to the gradients."""
    num_blocks: int = 1
    """Blocks of attention and MLP: one, as the paper's text says, or more (its table
    says two layers), which take some nine times as long."""
    num_heads: int = 4
    """Attention heads."""
    head_dim: int = 32
    """Width of a head; the model's width is num_heads * head_dim."""
    mlp_dim: int = 512
    """Hidden width of the MLP."""
    position_scale: float = batched(0.1)
    """Initial standard deviation of the position table over that of the token table.
    The paper does not give it; its networks treat x and y alike, from which we infer
    that it is small."""
    seed: int = 0
    """Seed of the split and of the initial weights."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        for bounds, names in _RANGES:
            for name in names:
                if getattr(self, name) is not None:
                    check_range(name, getattr(self, name), **bounds)
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
