"""What a run of continual pretraining can be asked for."""

import dataclasses
from typing import Literal

from experiments.continual_pretraining import corpora
from experiments.harness.checks import INT32_MAX, Ranges, check, check_ranges
from experiments.harness.config import RunConfig, per_member

Optimizer = Literal["nap", "hyperball", "adamw"]
Schedule = Literal["signal", "cusum", "single_cosine"]
NUM_PHASES = 2
EVALUATED_AT_ONCE = 128
"""Pieces of text."""

_RANGES: Ranges = (
    ({"at_least": 1}, ("phase_steps", "batch_size", "context", "validation_windows")),
    ({"at_least": 1}, ("num_heads", "head_dim", "mlp_dim")),
    # Each is compiled on its own.
    ({"at_least": 1, "at_most": 100}, ("num_blocks",)),
    ({"above": 0}, ("learning_rate",)),
    ({"at_least": 0}, ("low_learning_rate", "warmup_steps", "weight_decay")),
    ({"at_least": 0, "below": 1}, ("adam_b2",)),
)


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains a small language model on one text, then goes on with another.

    The texts come with Python: there is nothing to fetch. After a run, the directory
    holds its metrics, figure, summary and checkpoints. The same command continues an
    interrupted run.
    """

    first: corpora.Name = "code"
    """The model learns this first, and then the other one: the code of Python's
    standard library without docstrings and comments, or English prose about Python (the
    language reference, and docstrings)."""
    optimizer: Optimizer = "nap"
    """Adam's direction, with the norms of all matrices held (nap), with those of their
    updates held as well, so that the rate is the relative update (hyperball), or free
    (adamw). All have one network, the same batches and the same first weights."""
    schedule: Schedule = "signal"
    """The rate is linear warm-up and half a cosine: one for each corpus, re-warmed by
    the caller when the corpus changes (signal) or by nap_optax.cusum() when it sees the
    training loss change (cusum), or one over both (single_cosine)."""
    learning_rate: float = per_member(0.01)
    """The schedule peaks at this rate."""
    low_learning_rate: float = per_member(1e-5)
    """Each cosine ends at this rate."""
    warmup_steps: int = per_member(50)
    """The rate rises from zero over this many updates."""
    weight_decay: float = per_member(0.0)
    """Matrices decay by this, decoupled and times the learning rate; adamw only."""
    project_readout: bool = True
    """The norm of the unembedding is held as well; adamw holds none."""
    adam_b2: float = per_member(0.95)
    """Adam's second moment decays by this factor."""
    phase_steps: int = 1000
    """There are this many updates on each corpus. The default detector learns from the
    first 400 what the loss is like."""
    batch_size: int = 8
    """An update has this many pieces of text, from anywhere in the corpus."""
    context: int = 64
    """A piece has this many bytes to predict, each from those before it in the
    piece."""
    num_blocks: int = 2
    """The network has this many blocks of attention and MLP."""
    num_heads: int = 2
    """A block has this many attention heads."""
    head_dim: int = 32
    """A head has this width; the model's width is num_heads * head_dim."""
    mlp_dim: int = 256
    """The MLP has this many hidden units."""
    validation_windows: int = 128
    """Validation losses are over this many evenly spaced pieces of each corpus's
    validation text."""
    corpora_digest: str | None = None
    """The corpora have this digest, which is found when they are read: they differ from
    one version of Python to the next. A run on others is refused."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        check_ranges(self, _RANGES)
        check(
            "low_learning_rate",
            self.low_learning_rate,
            self.low_learning_rate <= self.learning_rate,
            f"at most learning_rate={self.learning_rate}",
        )
        check(
            "phase_steps",
            self.phase_steps,
            self.num_steps <= INT32_MAX,
            f"less: {self.num_steps} updates in all are not below 2**31",
        )
        check(
            "warmup_steps",
            self.warmup_steps,
            self.warmup_steps < self.cycle_steps,
            f"less than the {self.cycle_steps} updates of a cosine",
        )
        check(
            "weight_decay",
            self.weight_decay,
            self.weight_decay == 0 or self.optimizer == "adamw",
            "0 without --optimizer adamw: the others hold norms",
        )
        check(
            "project_readout",
            self.project_readout,
            self.project_readout or self.optimizer != "adamw",
            "left on with --optimizer adamw, which holds no norm",
        )
        check(
            "head_dim",
            self.head_dim,
            self.num_heads * self.head_dim <= INT32_MAX,
            f"such that num_heads * head_dim is at most {INT32_MAX}",
        )

    @property
    def order(self) -> tuple[corpora.Name, corpora.Name]:
        """The corpora, the first one first."""
        (second,) = set(corpora.NAMES) - {self.first}
        return self.first, second

    @property
    def num_steps(self) -> int:
        """Updates in all."""
        return NUM_PHASES * self.phase_steps

    @property
    def cycle_steps(self) -> int:
        """Updates of one cosine."""
        single = self.schedule == "single_cosine"
        return self.num_steps if single else self.phase_steps
