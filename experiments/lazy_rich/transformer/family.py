"""The lazy transformer as a family of runs."""

from typing import Any

from experiments.harness.memory import Needs
from experiments.lazy_rich.families import lazy_family
from experiments.lazy_rich.transformer.config import Config

NUM_POSITIONS = 5
"""Number of tokens of a pair: x, the operation, y, the equals sign and the query."""


def num_params(config: Config) -> int:
    """Weights of the block, the token table and the unembedding."""
    width = config.num_heads * config.head_dim
    block = 4 * width**2 + 2 * width * config.mlp_dim
    return block + 2 * config.modulus * width


def memory(config: Config) -> Needs:
    """The least memory: parameters now and at first, and the units of all examples.

    Attention has a row for each position; the rest is computed at the last position.
    """
    attention = NUM_POSITIONS * config.num_heads * config.head_dim
    units = attention + config.mlp_dim + config.modulus
    return Needs(
        member=4 * 2 * num_params(config) + 8 * config.modulus**2,
        step=4 * (num_params(config) + config.most_at_once * units),
    )


def _title(config: Config) -> str:
    return (
        f"transformer, x + y mod {config.modulus}, {config.train_fraction:.0%} of the "
        f"pairs, alpha = {config.alpha:g}, {config.optimizer}"
    )


def _problem() -> Any:
    from experiments.lazy_rich.transformer.problem import Transformer

    return Transformer


FAMILY = lazy_family(
    "transformer",
    Config,
    problem=_problem,
    title=_title,
    operations=lambda config: 6 * config.num_train * num_params(config),
    memory=memory,
)
