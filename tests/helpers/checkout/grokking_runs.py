"""A config of grokking that takes a second."""

from experiments.grokking.config import Config

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
