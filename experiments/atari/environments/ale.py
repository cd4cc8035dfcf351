"""One game of Atari on the Arcade Learning Environment, which can be saved exactly.

It is a thin loop on the emulator's own interface. Its frames equal those of
`gymnasium.wrappers.AtariPreprocessing`, pixel by pixel. Scores are raw; the agent clips
the rewards it learns from.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from experiments.atari.environments.games import snake_case
from experiments.harness.messages import UserError

FRAME_SHAPE = (84, 84)
_NOOP = 0


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Settings of Atari that differ between papers; state them with every score.

    The defaults are those of Rainbow (Hessel et al., 2018), as in DQN Zoo.
    """

    sticky_actions: float = 0.0
    """Probability, at each frame, that the previous action is repeated. Machado et al.
    (2018) have 0.25."""
    max_noops: int = 30
    """An episode starts with 1 to this many frames without an action."""
    life_loss_is_terminal: bool = True
    """Returns end at a lost life, although the episode goes on."""
    full_action_set: bool = False
    """The agent chooses among all 18 actions, not only those that the game uses."""
    action_repeat: int = 4
    """An action is repeated for this many frames."""
    max_episode_frames: int = 108_000
    """An episode is cut short after this many frames: 30 minutes of play."""


class Observed(NamedTuple):
    """The result of a step of the game."""

    frame: np.ndarray  # (84, 84) uint8
    reward: float  # raw, the sum over the frames of the step
    is_terminal: bool  # what comes after it counts for nothing
    is_over: bool  # the episode has ended, by itself or since it is cut short


class AtariGame:
    """A game that is played by steps of several frames.

    Args:
      game: one of `games.ATARI_GAMES`.
      seed: of sticky actions and no-ops.
      protocol: how it is played.
      in_color: whether there is a `picture`.

    Raises:
      UserError: the emulator is not installed, or has no ROM of this game.
    """

    def __init__(
        self,
        game: str,
        seed: int,
        protocol: Protocol | None = None,
        *,
        in_color: bool = False,
    ) -> None:
        self.protocol = protocol or Protocol()
        self._generator = np.random.default_rng(seed)
        self._ale, self.actions = _load(
            game, int(self._generator.integers(2**31)), self.protocol
        )
        shape = self._ale.getScreenDims()
        # The screens of the last two frames; a step is shown as their maximum.
        self._screens = np.zeros((2, *shape), np.uint8)
        self._colors = np.zeros((2, *shape, 3), np.uint8) if in_color else None
        self._lives = 0
        self._last_action = _NOOP

    def reset(self) -> np.ndarray:
        """Starts an episode, and gives its first frame, shape ``(84, 84)``."""
        self._ale.reset_game()
        noops = (
            self._generator.integers(1, self.protocol.max_noops + 1)
            if self.protocol.max_noops
            else 0
        )
        for _ in range(noops):
            self._ale.act(0)
            if self._ale.game_over():
                self._ale.reset_game()
        self._lives = self._ale.lives()
        self._last_action = _NOOP
        self._see(0)
        self._screens[1] = 0
        if self._colors is not None:
            self._colors[1] = 0
        return self._frame()

    def step(self, action: int) -> Observed:
        """Carries out an action.

        Args:
          action: an index of `actions`.
        """
        ale, reward = self._ale, 0.0
        for left in reversed(range(self.protocol.action_repeat)):
            reward += ale.act(self._carried_out(self.actions[action]))
            if ale.game_over():
                break
            if left < len(self._screens):
                self._see(left)
        lives = ale.lives()
        lost_life = self.protocol.life_loss_is_terminal and lives < self._lives
        self._lives = lives
        return Observed(
            frame=self._frame(),
            reward=reward,
            is_terminal=lost_life or ale.game_over(with_truncation=False),
            is_over=ale.game_over(),
        )

    @property
    def picture(self) -> np.ndarray:
        """The screen as a person would see it, shape ``(height, width, 3)``, uint8.

        What flickers is shown, as to the agent, if it is in one of the last two frames.
        """
        assert self._colors is not None
        picture: np.ndarray = self._colors.max(axis=0)
        return picture

    def _see(self, index: int) -> None:
        """Keeps the screen of this moment as one of the last two."""
        self._ale.getScreenGrayscale(self._screens[index])
        if self._colors is not None:
            self._ale.getScreenRGB(self._colors[index])

    def _carried_out(self, action: int) -> int:
        """The action of a frame, which may be the previous one."""
        sticky = self.protocol.sticky_actions
        if not sticky or self._generator.random() >= sticky:
            self._last_action = action
        return self._last_action

    def save(self) -> dict[str, Any]:
        """Everything the game's future depends on: bytes, arrays and numbers."""
        return {
            "emulator": self._ale.cloneState(include_rng=True).serialize(),
            "generator": self._generator.bit_generator.state,
            "screens": self._screens.copy(),
            "lives": self._lives,
            "last_action": self._last_action,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a saved game of the same name and protocol."""
        from ale_py import ALEState

        self._ale.restoreState(ALEState(state["emulator"]))
        self._generator.bit_generator.state = state["generator"]
        self._screens[:] = state["screens"]
        self._lives = state["lives"]
        self._last_action = state["last_action"]

    def _frame(self) -> np.ndarray:
        import cv2  # is there: see `_load`

        if self.protocol.action_repeat > 1:
            np.maximum(self._screens[0], self._screens[1], out=self._screens[0])
        height, width = FRAME_SHAPE
        return cv2.resize(
            self._screens[0], (width, height), interpolation=cv2.INTER_AREA
        )


def _load(game: str, seed: int, protocol: Protocol) -> tuple[Any, list[int]]:
    """The emulator with a game, and the actions that can be chosen."""
    try:
        import cv2  # noqa: F401, before a run directory is made
        from ale_py import ALEInterface, LoggerMode, roms
    except ImportError as error:
        raise UserError(
            f"Atari needs ale-py and OpenCV ({error}): pip install -e '.[atari]', or "
            "play MinAtar (--suite minatar)"
        ) from None
    ALEInterface.setLoggerMode(LoggerMode.Error)
    path = roms.get_rom_path(snake_case(game))
    if path is None or not path.exists():
        raise UserError(
            f"ale-py has no ROM of {game}: install it again (pip install -U ale-py)"
        )
    ale = ALEInterface()
    ale.setInt("random_seed", seed)
    # An emulator that repeats actions itself does not save the last one: see `step`.
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", protocol.max_episode_frames)
    ale.loadROM(path)
    actions = (
        ale.getLegalActionSet()
        if protocol.full_action_set
        else ale.getMinimalActionSet()
    )
    return ale, [action.value for action in actions]
