"""Continual pretraining as a family of runs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.continual_pretraining import corpora, outcomes
from experiments.continual_pretraining.config import EVALUATED_AT_ONCE, Config
from experiments.harness.argument_errors import flag_of
from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.harness.messages import UserError, counted

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

NUM_BYTES = 256
SECONDS = 7e-11
"""Of an update, for each parameter and byte, on one core."""
DETECTOR_WARMUP_STEPS = 400
"""The default of `nap_optax.cusum`."""
FORWARD_SHARE = 1 / 3
"""Share of an update's time."""


def num_parameters(config: Config) -> int:
    """But for the gains of the normalisations."""
    width = config.num_heads * config.head_dim
    in_block = 4 * width**2 + 2 * width * config.mlp_dim
    return config.num_blocks * in_block + (2 * NUM_BYTES + config.context) * width


def run_seconds(config: Config) -> float:
    """An estimate: an evaluation is a forward pass of the validation texts."""
    evaluations = -(-config.num_steps // config.eval_every)
    pieces = config.num_steps * config.batch_size + FORWARD_SHARE * (
        evaluations * len(corpora.NAMES) * config.validation_windows
    )
    return pieces * config.context * num_parameters(config) * SECONDS


def memory(config: Config) -> Needs:
    """At the least; `tests/experiments/harness/test_memory.py` compares with XLA's."""
    width = config.num_heads * config.head_dim
    in_block = 4 * width + config.mlp_dim + config.num_heads * config.context
    units = config.num_blocks * in_block + NUM_BYTES
    params = num_parameters(config)
    positions = config.batch_size * config.context
    pieces = len(corpora.NAMES) * config.validation_windows
    # An evaluation keeps the widest units of one block only, but of more pieces.
    widest = max(config.mlp_dim, config.num_heads * config.context)
    evaluated = min(EVALUATED_AT_ONCE, pieces) * config.context * widest
    return Needs(
        shared=pieces * (config.context + 1),
        member=12 * params,
        step=4 * max(params + positions * units, evaluated),
    )


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    old, new = config.order
    before = entry["old_loss_at_the_change"]
    was = "" if before is None else f" (at the change {before:.3f})"
    return (
        f"nats per byte at the end: {new} {entry['final_new_loss']:.3f}, "
        f"{old} {entry['final_old_loss']:.3f}{was}, "
        f"{counted(entry['num_rewarms'], 're-warm')}"
    )


def cautions(config: Config) -> Iterable[str]:
    """What a user may not have meant."""
    if config.optimizer == "adamw" and config.weight_decay == 0:
        yield "weight_decay=0: adamw without decay is Adam (--weight-decay)"
    if config.schedule == "cusum" and config.phase_steps <= DETECTOR_WARMUP_STEPS:
        yield (
            f"phase_steps={config.phase_steps}: the detector learns from the first "
            f"{DETECTOR_WARMUP_STEPS} losses, so it cannot see the change"
        )


def resolve(config: Config) -> Config:
    """With the digest of the corpora, which come with the Python that runs.

    Raises:
      UserError: there are none, others, or shorter ones than the config asks for.
    """
    read = corpora.load()
    if config.corpora_digest not in (None, read.digest):
        raise UserError(
            f"the corpora of this Python have the digest {read.digest}, not "
            f"{config.corpora_digest}: use the Python that it is of, or leave out "
            f"{flag_of('corpora_digest')}"
        )
    for name, texts in read.texts.items():
        for part, text in zip(texts._fields, texts, strict=True):
            if len(text) <= config.context:
                raise UserError(
                    f"context={config.context}: must be less than the {len(text)} "
                    f"bytes of {name} for {part} ({flag_of('context')})"
                )
    return dataclasses.replace(config, corpora_digest=read.digest)


def _load(config: Config) -> Sequence[Any]:
    from experiments.continual_pretraining.task import make_texts

    return (make_texts(config, corpora.load()),)


def _code() -> "ArrayCode[Config]":
    from experiments.continual_pretraining.experiment import Experiment
    from experiments.continual_pretraining.figures import draw_run
    from experiments.harness.members import ArrayCode

    return ArrayCode(
        experiment=Experiment,
        summarize=outcomes.summarize,
        draw=draw_run,
        load=_load,
        shown=("old_loss", "new_loss"),
    )


FAMILY = Family(
    name="continual_pretraining",
    config_class=Config,
    code=_code,
    resolve=resolve,
    group_name=lambda config: (
        f"{config.optimizer}-{config.schedule}-{config.num_steps}-updates"
    ),
    run_seconds=run_seconds,
    cost=f"{1e12 * SECONDS:.0f} µs for a million parameters and bytes of an update of "
    "the language model, on one core",
    describe=describe,
    memory=memory,
    cautions=cautions,
)
