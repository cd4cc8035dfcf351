"""Several games of Atari played at once, with their stacks of frames.

They restart by themselves. Their state is arrays, as in a checkpoint.
"""

from typing import Any, NamedTuple

import numpy as np

from experiments.atari.environments.ale import FRAME_SHAPE, AtariGame, Protocol
from experiments.atari.replay import rows as ring

_CAPACITY = 1 << 16
"""Bytes for the state of an emulator, which has about 14,500."""
_WORD = 64


class GamesState(NamedTuple):
    """Everything the future of n games depends on."""

    emulators: np.ndarray  # (n, _CAPACITY) uint8, zeros at the end
    sizes: np.ndarray  # (n,) int32: of what comes before those
    generators: np.ndarray  # (n, 6) uint64
    screens: np.ndarray  # (n, 2, height, width) uint8: of the emulator
    lives: np.ndarray  # (n,) int32
    last_actions: np.ndarray  # (n,) int32: of the emulator
    frames: np.ndarray  # (n, stack, *FRAME_SHAPE) uint8: the newest one last
    ages: np.ndarray  # (n,) uint8: of the newest one, as of `rows.Rows`
    is_first: np.ndarray  # (n,) bool: it is the first one of its episode


class Shown(NamedTuple):
    """The results of a step of n games."""

    rewards: np.ndarray  # (n,) float32: raw
    is_terminal: np.ndarray  # (n,) bool: what comes after it counts for nothing
    is_over: np.ndarray  # (n,) bool: by itself or since it is cut short


class GamesAtOnce:
    """Games of one name, each with its own seed.

    `frames`, `ages` and `is_first` are those of `GamesState`, to be read only.

    Args:
      game: one of `games.ATARI_GAMES`.
      seeds: one for each game.
      protocol: how they are played.
      stack: frames of an observation.
      in_color: whether there are `pictures`.

    Raises:
      UserError: the emulator is not installed, or has no ROM of this game.
    """

    def __init__(
        self,
        game: str,
        seeds: np.ndarray,
        protocol: Protocol,
        stack: int,
        *,
        in_color: bool = False,
    ) -> None:
        self._games = [
            AtariGame(game, int(seed), protocol, in_color=in_color) for seed in seeds
        ]
        num = len(self._games)
        self._stack = stack
        self.num_actions = len(self._games[0].actions)
        self.frames = np.zeros((num, stack, *FRAME_SHAPE), np.uint8)
        self.ages = np.zeros(num, np.uint8)
        self.is_first = np.ones(num, bool)

    def reset(self) -> None:
        """Starts an episode of each."""
        self._show([game.reset() for game in self._games], np.ones_like(self.is_first))

    def step(self, actions: np.ndarray) -> Shown:
        """Carries out an action in each, and restarts those that are over."""
        steps = [
            game.step(int(action))
            for game, action in zip(self._games, actions, strict=True)
        ]
        is_over = np.array([step.is_over for step in steps])
        frames = [
            game.reset() if step.is_over else step.frame
            for game, step in zip(self._games, steps, strict=True)
        ]
        self._show(frames, is_over)
        return Shown(
            rewards=np.array([step.reward for step in steps], np.float32),
            is_terminal=np.array([step.is_terminal for step in steps]),
            is_over=is_over,
        )

    def pictures(self) -> list[np.ndarray]:
        """The screen of each game: see `AtariGame.picture`."""
        return [game.picture for game in self._games]

    def state(self) -> GamesState:
        """The state of all games; the arrays are new."""
        saved = [game.save() for game in self._games]
        emulators = np.zeros((len(saved), _CAPACITY), np.uint8)
        for row, one in zip(emulators, saved, strict=True):
            data = one["emulator"]
            row[: len(data)] = np.frombuffer(data, np.uint8)
        return GamesState(
            emulators=emulators,
            sizes=np.array([len(one["emulator"]) for one in saved], np.int32),
            generators=np.stack([_words(one["generator"]) for one in saved]),
            screens=np.stack([one["screens"] for one in saved]),
            lives=np.array([one["lives"] for one in saved], np.int32),
            last_actions=np.array([one["last_action"] for one in saved], np.int32),
            frames=self.frames.copy(),
            ages=self.ages.copy(),
            is_first=self.is_first.copy(),
        )

    def restore(self, state: GamesState) -> None:
        """Continues from saved games of the same name and protocol."""
        for index, game in enumerate(self._games):
            data = np.asarray(state.emulators[index, : state.sizes[index]])
            game.restore(
                {
                    "emulator": data.tobytes(),
                    "generator": _generator_state(state.generators[index]),
                    "screens": state.screens[index],
                    "lives": int(state.lives[index]),
                    "last_action": int(state.last_actions[index]),
                }
            )
        self.frames[:] = state.frames
        self.ages[:] = state.ages
        self.is_first[:] = state.is_first

    def _show(self, newest: list[np.ndarray], is_first: np.ndarray) -> None:
        self.frames[:, :-1] = self.frames[:, 1:]
        self.frames[:, -1] = newest
        self.ages[:] = ring.aged(self.ages, is_first, self._stack)
        self.is_first[:] = is_first


def _words(state: dict[str, Any]) -> np.ndarray:
    """The state of NumPy's default generator, as unsigned integers of 64 bits."""
    own, mask = state["state"], (1 << _WORD) - 1
    halves = [own["state"] >> _WORD, own["state"] & mask]
    halves += [own["inc"] >> _WORD, own["inc"] & mask]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], np.uint64)


def _generator_state(words: np.ndarray) -> dict[str, Any]:
    """The inverse of `_words`."""
    numbers = [int(word) for word in words]
    return {
        "bit_generator": "PCG64",
        "state": {
            "state": numbers[0] << _WORD | numbers[1],
            "inc": numbers[2] << _WORD | numbers[3],
        },
        "has_uint32": numbers[4],
        "uinteger": numbers[5],
    }
