"""Grokking as a family of runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.grokking import outcomes
from experiments.grokking.config import CHANGED, Config
from experiments.harness.family import Family
from experiments.harness.memory import Needs

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

STEP_SECONDS = 0.02
"""Time of an update at the paper's size on 2 cores (`benchmarks/grokking_step.py`)."""


def run_seconds(config: Config) -> float:
    """Estimates the time of one seed.

    The cost of a step is proportional to the training pairs. An evaluation costs one
    more step and a forward pass of the other pairs.
    """
    # One block is computed at one position, more blocks at five, including attention.
    relative = (1 + 8 * (config.num_blocks - 1)) / Config().num_train_pairs
    train, pairs = config.num_train_pairs, config.num_elements**2
    evaluations = -(-config.num_steps // config.eval_every)
    examples = config.num_steps * train + evaluations * (train + (pairs - train) / 3)
    return examples * relative * STEP_SECONDS


def memory(config: Config) -> Needs:
    """The least memory; `tests/experiments/harness/test_memory.py` compares it."""
    width = config.num_heads * config.head_dim
    matrices = 4 * width**2 + 2 * width * config.mlp_dim
    params = config.num_blocks * matrices + 2 * config.num_elements * width
    copies = 2 if config.optimizer == "sgd" else 3
    pairs, train = config.num_elements**2, config.num_train_pairs
    # An update keeps activations for the gradient, an evaluation does not.
    examples = max(2 * train, pairs - train)
    units = width + config.mlp_dim + config.num_elements
    return Needs(
        member=4 * copies * params + 8 * pairs, step=4 * (params + examples * units)
    )


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    first = entry["first_step_test_accuracy_99"]
    reached = "never" if first is None else f"at update {first}"
    return (
        f"train {entry['final_train_accuracy']:.3f}, "
        f"test {entry['final_test_accuracy']:.3f} (median of the last evaluations "
        f"{entry['median_late_test_accuracy']:.3f}), .99 on test {reached}"
    )


def _code() -> "ArrayCode[Config]":
    from experiments.grokking.experiment import Experiment
    from experiments.grokking.figures import draw_run
    from experiments.harness.members import ArrayCode

    return ArrayCode(
        experiment=Experiment,
        summarize=outcomes.summarize,
        draw=draw_run,
    )


FAMILY = Family(
    name="grokking",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.optimizer}-{config.num_steps}-updates",
    run_seconds=run_seconds,
    cost=f"{1e3 * STEP_SECONDS:.0f} ms for an update of the grokking network at the "
    "paper's size",
    describe=describe,
    in_words=lambda rows, _: outcomes.in_words(rows),
    memory=memory,
    before=CHANGED,
)
