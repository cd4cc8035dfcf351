"""How many of an agent's actions are random."""

import jax
import jax.numpy as jnp

from experiments.atari.config import Config


def epsilon(config: Config, round_: jax.Array) -> jax.Array:
    """Share of random actions: 1 until learning starts, then falling linearly.

    Args:
      config: of the agent; a noisy one has none.
      round_: of the actions, shape ``()``.
    """
    if config.switches.noisy:
        return jnp.zeros([])
    frames = (round_ - config.learning_starts_round) * config.round_frames
    share = jnp.clip(frames / config.sizes.exploration_frames, 0, 1)
    return 1 + (config.final_epsilon - 1) * share
