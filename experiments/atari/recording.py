"""An agent at play, as a GIF: from the checkpoint of a finished run."""

import dataclasses
import functools
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.atari.agent import Agent
from experiments.atari.config import Config
from experiments.atari.emulated import recording as emulated
from experiments.atari.emulated.member import Member
from experiments.atari.emulated.programs import Programs
from experiments.atari.environments.minatar import Game
from experiments.atari.experiment import Experiment
from experiments.harness import files, plots
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.members import init_members
from experiments.harness.messages import UserError
from experiments.harness.run_files import CHECKPOINTS

MOST_FRAMES = 1_000
MOST_BYTES = 8_000_000
"""Largest size of a GIF, so that a page can show it."""
CELL = 16
"""Pixels on each side of a cell of MinAtar."""
MILLISECONDS = 100
"""Of a frame on the screen."""
Act = Callable[[np.ndarray], int]
"""From an observation, shape ``(height, width, channels)``, to the action."""


def record(config: Config, directory: Path, path: Path) -> None:
    """Plays an episode with the weights at a run's end, and writes it.

    Args:
      config: of the run; of several seeds, the first one plays.
      directory: of the run, finished.
      path: of the GIF.

    Raises:
      UserError: there is no checkpoint.
    """
    seeds = range(config.seed, config.seed + config.num_seeds)
    configs = [dataclasses.replace(config, seed=seed, num_seeds=1) for seed in seeds]
    if config.suite == "ale":
        programs = Programs(config)
        members = [Member(programs, own) for own in configs]
        states = _at_end(directory, tuple(member.init() for member in members))
        params = states[0].learning.learner.params
        frames = emulated.play(programs, params, config.seed)
        milliseconds = emulated.MILLISECONDS
    else:
        experiment = Experiment(config)
        state = _at_end(directory, init_members(experiment, configs).state)
        params = jax.tree.map(lambda leaf: leaf[0], state.learner.params)
        act = actor(experiment.agent, params, config.seed)
        frames = play(experiment.game, act, sticky_actions=config.sticky_actions)
        milliseconds = MILLISECONDS
    write(itertools.islice(frames, MOST_FRAMES), path, milliseconds)


def actor(agent: Agent, params: Any, seed: int) -> Act:
    """The agent's actions in evaluations."""
    act = jax.jit(functools.partial(agent.act, evaluates=True))
    epsilon = jnp.float32(agent.config.evaluation.epsilon)
    keys = _keys(seed)

    def choose(observation: np.ndarray) -> int:
        return int(act(params, jnp.asarray(observation)[None], next(keys), epsilon)[0])

    return choose


def play(
    game: Game, act: Act, seed: int = 0, *, sticky_actions: float = 0.0
) -> Iterator[np.ndarray]:
    """The frames of an episode of a game on a device, shape ``(h, w, 3)`` uint8.

    Args:
      game: to be played.
      act: chooses the actions.
      seed: of the game, and of which actions stick.
      sticky_actions: probability that the previous action is repeated.
    """
    keys = _keys(seed)
    sticks = np.random.default_rng(seed)
    action: int | None = None
    observation, state = jax.jit(game.reset)(next(keys))
    step = jax.jit(game.step)
    while True:
        yield colored(np.asarray(observation))
        chosen = act(np.asarray(observation))
        if action is None or sticks.random() >= sticky_actions:
            action = chosen
        played = step(next(keys), state, jnp.int32(action))
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


def write(
    frames: Iterable[np.ndarray],
    path: Path,
    milliseconds: int,
    most_bytes: int = MOST_BYTES,
) -> None:
    """Writes a GIF that is whole or absent.

    Args:
      frames: shape ``(h, w)``, grey, or ``(h, w, 3)``; uint8.
      path: of the GIF; its folder is made.
      milliseconds: for which each is shown.
      most_bytes: of the GIF. If all frames take more, every other frame is left out
        until they fit or one is left.
    """
    from PIL import Image

    images: Sequence[Any] = [Image.fromarray(frame) for frame in frames]
    data = _gif(images, milliseconds)
    while len(data) > most_bytes and len(images) > 1:
        images, milliseconds = images[::2], 2 * milliseconds
        data = _gif(images, milliseconds)
    with files.in_reach(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, data)


def _gif(images: Sequence[Any], milliseconds: int) -> bytes:
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=milliseconds,
        loop=0,
    )
    return buffer.getvalue()


def _at_end(directory: Path, target: Any) -> Any:
    """The state at the end of a run, given one of its structure."""
    checkpoints = Checkpoints(directory / CHECKPOINTS, read_only=True)
    try:
        restored = checkpoints.restore(target)
    finally:
        checkpoints.close()
    if restored is None:
        raise UserError(f"{directory / CHECKPOINTS} has no checkpoint to play from")
    return restored.state


def _keys(seed: int) -> Iterator[jax.Array]:
    key = jax.random.key(seed)
    while True:
        key, own = jax.random.split(key)
        yield own


def _rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color.removeprefix("#")))
