"""What all agents of the comparison have in common."""

from typing import NamedTuple

from experiments.atari.agents import PRESETS

STACK = 4
"""Frames of an observation."""


class Setting(NamedTuple):
    """Of a DQN."""

    game: str = "Pong"
    steps_per_update: int = 4
    replay_steps: int = 20_000
    """Which are there before anything is measured."""
    batch_size: int = 32
    epsilon: float = 0.1
    learning_rate: float = 6.25e-5
    adam_eps: float = PRESETS["dqn"].adam_eps
    discount: float = 0.99
    target_period_steps: int = 10_000
