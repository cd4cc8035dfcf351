"""The optimizers of continual pretraining: as a user of the library writes them."""

from typing import Any

import jax
import optax

import nap_optax
from experiments.continual_pretraining.config import Config
from experiments.harness.members import Hyperparameters
from nap_optax import masks, schedules

READOUT = masks.by_path([("unembedding/.*", True), (".*", False)])


def make_schedule(config: Config, hyper: Hyperparameters) -> optax.Schedule:
    """The learning rate as a function of the updates since the last re-warm."""
    return schedules.warmup_cosine_decay(
        hyper.learning_rate,
        warmup_steps=hyper.warmup_steps,
        decay_steps=config.cycle_steps,
        end_value=hyper.low_learning_rate,
    )


def rewarms_with_corpus(config: Config) -> bool:
    """Whether the experiment itself asks for the re-warm."""
    return config.schedule == "signal"


def make_optimizer(
    config: Config, hyper: Hyperparameters
) -> optax.GradientTransformationExtraArgs:
    """One of the three, all over Adam's direction; then measures."""
    adam = optax.scale_by_adam(b2=hyper.adam_b2)
    schedule = make_schedule(config, hyper)
    detector = nap_optax.cusum() if config.schedule == "cusum" else None
    mask = masks.matrices if config.project_readout else all_but_readout
    match config.optimizer:
        case "nap":
            tx = nap_optax.nap(adam, schedule, detector=detector, mask=mask)
        case "hyperball":
            tx = nap_optax.hyperball(adam, schedule, detector=detector, mask=mask)
        case "adamw":
            tx = optax.chain(
                adam,
                optax.add_decayed_weights(hyper.weight_decay, mask=masks.matrices),
                nap_optax.scale_by_rewarming(schedule, detector),
            )
    return optax.chain(tx, nap_optax.measure_elr())


def all_but_readout(params: Any) -> Any:
    """Which leaves are held: the matrices, without the unembedding."""
    return jax.tree.map(
        lambda is_matrix, is_readout: is_matrix and not is_readout,
        masks.matrices(params),
        READOUT(params),
    )
