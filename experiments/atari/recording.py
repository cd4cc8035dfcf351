"""An agent at play, as a GIF: from the checkpoint of a finished run."""

import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.atari.agent import Agent
from experiments.atari.config import Config
from experiments.atari.environments.minatar import Game
from experiments.atari.experiment import Experiment
from experiments.harness import files, plots
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.members import init_members
from experiments.harness.messages import UserError
from experiments.harness.run_files import CHECKPOINTS

EPSILON = 0.05
"""Share of random actions, as in evaluations of DQN."""
MOST_FRAMES = 1_000
CELL = 16
"""Pixels of a cell of MinAtar, on either side."""
MILLISECONDS = 100
"""Of a frame on the screen."""
Act = Callable[[np.ndarray], int]
"""Of an observation, shape ``(height, width, channels)``, the action."""


def record(config: Config, directory: Path, path: Path) -> None:
    """Plays an episode with the weights at a run's end, and writes it.

    Args:
      config: of the run; of several seeds, the first one plays.
      directory: of the run, finished.
      path: of the GIF.

    Raises:
      UserError: the checkpoint is not there.
    """
    experiment = Experiment(config)
    params = _params(experiment, config, directory)
    frames = play(experiment.game, actor(experiment.agent, params, config.seed))
    write(frames, path, MILLISECONDS)


def actor(agent: Agent, params: Any, seed: int) -> Act:
    """Greedy actions but for a small share of random ones."""
    act = jax.jit(agent.act)
    keys = _keys(seed)

    def choose(observation: np.ndarray) -> int:
        epsilon = jnp.float32(EPSILON)
        return int(act(params, jnp.asarray(observation)[None], next(keys), epsilon)[0])

    return choose


def play(game: Game, act: Act, seed: int = 0) -> Iterator[np.ndarray]:
    """The frames of an episode of a game on a device, shape ``(h, w, 3)`` uint8.

    Args:
      game: it.
      act: who plays.
      seed: of the game.
    """
    keys = _keys(seed)
    observation, state = jax.jit(game.reset)(next(keys))
    step = jax.jit(game.step)
    for _ in range(MOST_FRAMES):
        yield colored(np.asarray(observation))
        played = step(next(keys), state, jnp.int32(act(np.asarray(observation))))
        if played.is_over:
            return
        observation, state = played.observation, played.state


def colored(observation: np.ndarray) -> np.ndarray:
    """An observation of MinAtar in colours, the last of its channels on top.

    Args:
      observation: shape ``(height, width, channels)``, 0 or 1.

    Returns:
      Pixels, shape ``(CELL · height, CELL · width, 3)``, uint8.
    """
    palette = np.array([_rgb(color) for color in (*plots.PALETTE[:-1], "#FFFFFF")])
    image = np.zeros((*observation.shape[:2], 3), np.uint8)
    for channel in range(observation.shape[-1]):
        color = palette[channel % len(palette)]
        image[observation[..., channel] > 0] = color
    return image.repeat(CELL, axis=0).repeat(CELL, axis=1)


def write(frames: Iterable[np.ndarray], path: Path, milliseconds: int) -> None:
    """Writes a GIF that is whole or absent.

    Args:
      frames: shape ``(h, w)``, grey, or ``(h, w, 3)``; uint8.
      path: of the GIF; its folder is made.
      milliseconds: that each is shown.
    """
    from PIL import Image

    images: Sequence[Any] = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=milliseconds,
        loop=0,
    )
    with files.in_reach(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, buffer.getvalue())


def _params(experiment: Experiment, config: Config, directory: Path) -> Any:
    """Of the first seed of a run, at its end."""
    seeds = range(config.seed, config.seed + config.num_seeds)
    members = init_members(
        experiment, [dataclasses.replace(config, seed=seed) for seed in seeds]
    )
    checkpoints = Checkpoints(directory / CHECKPOINTS, read_only=True)
    try:
        restored = checkpoints.restore(members.state)
    finally:
        checkpoints.close()
    if restored is None:
        raise UserError(f"{directory / CHECKPOINTS} has no checkpoint to play from")
    return jax.tree.map(lambda leaf: leaf[0], restored.state.learner.params)


def _keys(seed: int) -> Iterator[jax.Array]:
    key = jax.random.key(seed)
    while True:
        key, own = jax.random.split(key)
        yield own


def _rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color.removeprefix("#")))
