"""MinAtar's games through gymnax, in a compiled loop."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.atari.environments.games import MINATAR_GAMES
from experiments.atari.environments.minatar import MinAtarGame
from experiments.harness.messages import UserError

gymnax = pytest.importorskip("gymnax", reason="the extra [atari] is not installed")

CHANNELS = {
    "Asterix": 4,
    "Breakout": 4,
    "Freeway": 7,
    "Seaquest": 10,
    "SpaceInvaders": 6,
}
ACTIONS = {
    "Asterix": 5,
    "Breakout": 3,
    "Freeway": 3,
    "Seaquest": 6,
    "SpaceInvaders": 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MINATAR_GAMES)
def test_random_play_in_a_compiled_loop(name):
    game = MinAtarGame(name)
    assert game.observation_shape == (10, 10, CHANNELS[name])
    assert game.num_actions == ACTIONS[name]

    def step(carry, key):
        observation, state = carry
        action_key, game_key = jax.random.split(key)
        action = jax.random.randint(action_key, (), 0, game.num_actions)
        played = game.step(game_key, state, action)
        seen = (observation, played.reward, played.is_terminal, played.is_over)
        return (played.observation, played.state), seen

    @jax.jit
    def play(key):
        keys = jax.random.split(key, 2601)
        return jax.lax.scan(step, game.reset(keys[0]), keys[1:])[1]

    observations, rewards, is_terminal, is_over = play(jax.random.key(0))
    assert observations.dtype == jnp.uint8
    assert set(np.unique(observations)) == {0, 1}
    assert is_over.sum() > 0
    assert rewards.max() >= (0 if name == "Freeway" else 1)
    # Terminal steps are over, too; Freeway's episodes have an end of time only.
    assert not (is_terminal & ~is_over).any()
    if name == "Freeway":
        assert np.flatnonzero(is_over).tolist() == [2499]
        assert not is_terminal.any()


def test_a_library_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(UserError, match=r"MinAtar needs gymnax .*\[atari\]"):
        MinAtarGame("Breakout")
