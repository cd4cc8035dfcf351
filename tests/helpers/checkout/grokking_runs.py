"""A config of grokking that takes a second, and one member of a batch."""

from experiments.grokking.config import Config
from experiments.grokking.experiment import Experiment
from experiments.harness import sweep
from experiments.harness.members import init_members

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
    """The experiment, and of seed 0 the state, the numbers and the split."""
    experiment = Experiment(config)
    members = init_members(experiment, [config])
    return experiment, *sweep.unstack(members)[0]
