"""Sizes of a run's replay, with its slack for checkpoints."""

from experiments.atari.config import Config
from experiments.atari.environments.ale import FRAME_SHAPE
from experiments.atari.replay import rows as ring
from experiments.atari.replay.rows import Layout

STACK = 4
"""Frames of an observation."""


def layout(config: Config) -> Layout:
    """Layout of the replay; its slack outlasts the last two checkpoints."""
    slack = 2 * most_unsaved(config) * config.game_steps
    return Layout(
        length=config.replay_positions + slack,
        num_streams=config.num_envs,
        stack=STACK,
        num_steps=config.switches.n_step,
        discount=config.discount,
        slack=slack,
    )


def most_unsaved(config: Config) -> int:
    """Most rounds between two checkpoints.

    These are the whole evaluations in about a sixteenth of the replay, at least one.
    """
    rounds = config.replay_positions // config.game_steps
    return config.eval_every * max(1, rounds // 16 // config.eval_every)


def frames_shape(config: Config) -> tuple[int, ...]:
    """Shape of the replay's frames, of uint8."""
    own = layout(config)
    return (own.length * own.num_streams, *FRAME_SHAPE)


def num_bytes(config: Config) -> int:
    """Of the replay."""
    return ring.num_bytes(layout(config), FRAME_SHAPE)
