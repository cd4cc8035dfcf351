"""An agent at play on Atari, as a person would see it."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from experiments.atari.emulated.member import seen_of
from experiments.atari.emulated.programs import Moment, Programs

MILLISECONDS = 70
"""Time of a picture on the screen: a step is four of the 60 frames in a second."""


def play(programs: Programs, params: Any, seed: int) -> Iterator[np.ndarray]:
    """The pictures of an episode, played as evaluations are.

    Args:
      programs: of the config.
      params: of the agent.
      seed: of the game and of random actions.

    Returns:
      A picture for each step, shape ``(height, width, 3)``, uint8.
    """
    games = programs.games([seed], in_color=True)
    games.reset()
    is_over, step, key = False, 0, jax.random.key(seed)
    while not is_over:
        (picture,) = games.pictures()
        yield picture
        moment = Moment(key, 0, step)
        actions = programs.act_in_evaluation(params, seen_of(games), moment)
        is_over, step = bool(games.step(np.asarray(actions)).is_over[0]), step + 1
