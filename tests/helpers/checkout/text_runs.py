"""A config of continual pretraining that takes a second, and texts made by hand."""

from experiments.continual_pretraining.config import Config
from experiments.continual_pretraining.corpora import Corpora, Corpus

TINY = Config(
    phase_steps=6,
    eval_every=4,
    warmup_steps=2,
    batch_size=3,
    context=8,
    num_blocks=1,
    num_heads=2,
    head_dim=4,
    mlp_dim=8,
    validation_windows=5,
)

# No byte is in both, so a piece tells where it is from.
MADE_UP = Corpora(
    texts={
        "prose": Corpus(train=b"abcdefgh" * 5, validation=b"ab" * 20),
        "code": Corpus(train=b"0123456789" * 3, validation=b"01" * 20),
    },
    digest="made up",
)
