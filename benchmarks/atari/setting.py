"""What all agents of the comparison share."""

from typing import Literal, NamedTuple

from experiments.atari.agents import PRESETS, RATES, Switches
from experiments.harness import backend

STACK = 4
"""Frames of an observation."""


class Setting(NamedTuple):
    """Of an agent."""

    agent: Literal["dqn", "rainbow"] = "dqn"
    game: str = "Pong"
    steps_per_update: int = 4
    replay_steps: int = 20_000
    """Which are there before anything is measured."""
    fills_by_playing: bool = True
    """Or with copies of one step, where only memory is measured."""
    batch_size: int = 32
    epsilon: float = 0.1
    learning_rate: float = RATES["ale"].learning_rate
    discount: float = 0.99
    target_period_steps: int = 10_000
    same_compiler: bool = False
    """The others are compiled and keep freed memory as ours does."""

    @property
    def peers_options(self) -> dict[str, str]:
        """For `jax.jit` of an update of the others."""
        return backend.update_options() if self.same_compiler else {}

    @property
    def switches(self) -> Switches:
        """Of the agent."""
        return PRESETS[self.agent]
