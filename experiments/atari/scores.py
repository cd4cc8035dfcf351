"""Scores of the episodes that have ended, as a loop on a device keeps them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

NUM_LAST = 100


class Scores(NamedTuple):
    """Scores of the games played at once."""

    running: jax.Array  # (games,) float32: raw, of the episodes that go on
    last: jax.Array  # (NUM_LAST,) float32: of those that ended, the oldest overwritten
    num_episodes: jax.Array  # () int32: that have ended


def init(num_games: int) -> Scores:
    """Before the first step."""
    return Scores(jnp.zeros(num_games), jnp.zeros(NUM_LAST), jnp.zeros([], jnp.int32))


def add(scores: Scores, rewards: jax.Array, is_over: jax.Array) -> Scores:
    """After one step of each game.

    Args:
      scores: before it.
      rewards: raw, shape ``(games,)``.
      is_over: whether it ended the episode, shape ``(games,)``.
    """
    running = scores.running + rewards
    order = scores.num_episodes + jnp.cumsum(is_over) - 1
    # Writes beyond the end are dropped.
    slots = jnp.where(is_over, order % NUM_LAST, NUM_LAST)
    return Scores(
        running=jnp.where(is_over, 0, running),
        last=scores.last.at[slots].set(running, mode="drop"),
        num_episodes=scores.num_episodes + jnp.sum(is_over, dtype=jnp.int32),
    )


def mean_of_last(scores: Scores) -> jax.Array:
    """Mean return of the last 100 episodes, or of all; 0 before the first one ends."""
    num = jnp.minimum(scores.num_episodes, NUM_LAST)
    return jnp.sum(scores.last) / jnp.maximum(num, 1)
