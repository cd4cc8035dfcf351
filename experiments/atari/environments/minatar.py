"""MinAtar's games on a device, as pure functions that a compiled loop calls."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from experiments.harness.messages import UserError


class Played(NamedTuple):
    """The result of a step of a game."""

    observation: (
        jax.Array
    )  # (height, width, channels) uint8; of the next episode if over
    state: Any  # of the game
    reward: jax.Array  # () float32
    is_terminal: jax.Array  # () bool: what comes after it counts for nothing
    is_over: jax.Array  # () bool: by itself or since it is cut short


class Game(Protocol):
    """A game that can be traced; it restarts by itself."""

    observation_shape: tuple[int, int, int]
    num_actions: int

    def reset(self, key: jax.Array) -> tuple[jax.Array, Any]:
        """The first observation, and the state."""
        ...

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> Played:
        """Carries out an action."""
        ...


class MinAtarGame:
    """One of `games.MINATAR_GAMES`, as gymnax has it, with its minimal actions.

    Episodes are cut short after gymnax's number of steps: 1000, or 2500 of Freeway.
    Observations are 0 and 1.

    Raises:
      UserError: gymnax is not installed.

    References:
      Young and Tian, `MinAtar <https://arxiv.org/abs/1903.03176>`_, 2019; Lange,
      `gymnax <https://github.com/RobertTLange/gymnax>`_, 2022
    """

    def __init__(self, game: str) -> None:
        try:
            import gymnax
        except ImportError as error:
            raise UserError(
                f"MinAtar needs gymnax ({error}): pip install -e '.[atari]'"
            ) from None
        self._env, self._params = gymnax.make(f"{game}-MinAtar")
        shape = self._env.observation_space(self._params).shape
        self.observation_shape: tuple[int, int, int] = shape
        self.num_actions = int(self._env.num_actions)

    def reset(self, key: jax.Array) -> tuple[jax.Array, Any]:
        """The first observation, and the state."""
        observation, state = self._env.reset(key, self._params)
        return observation.astype(jnp.uint8), _arrays(state)

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> Played:
        """Carries out an action, an index below `num_actions`."""
        observation, state, reward, terminated, truncated, _ = self._env.step(
            key, state, action, self._params
        )
        return Played(
            observation=observation.astype(jnp.uint8),
            state=_arrays(state),
            reward=jnp.asarray(reward, jnp.float32),
            is_terminal=terminated,
            is_over=terminated | truncated,
        )


def _arrays(state: Any) -> Any:
    """A state without weak types, as a loop carries it."""
    return jax.tree.map(
        lambda leaf: jax.lax.convert_element_type(leaf, jnp.asarray(leaf).dtype), state
    )
