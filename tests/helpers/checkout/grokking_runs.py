"""A config of grokking that takes a second, and one member of a batch."""

import jax.numpy as jnp

from experiments.grokking.config import Config
from experiments.grokking.experiment import Experiment
from experiments.harness.members import hyperparameters

TINY = Config(
    modulus=7,
    train_fraction=0.5,
    num_steps=10,
    eval_every=5,
    warmup_steps=4,
    num_heads=2,
    head_dim=4,
    mlp_dim=16,
    normalize=True,
    scale_decay=1.0,
    weight_decay=0.1,
)


def one_member(config):
    """The experiment, and of its seed the state, the numbers and the split."""
    experiment, hyper = Experiment(config), hyperparameters(config)
    # Not compiled: the operations of one config serve all, a program would not.
    state, split = experiment.init(jnp.asarray(config.seed), hyper)
    return experiment, state, hyper, split
