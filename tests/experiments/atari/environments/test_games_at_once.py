"""Several games against each of them alone, and their states as arrays."""

import jax
import numpy as np
import pytest

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")

from experiments.atari.environments.ale import AtariGame, Protocol
from experiments.atari.environments.games_at_once import GamesAtOnce

PROTOCOL = Protocol(sticky_actions=0.25, max_episode_frames=400)
SEEDS, STACK = (5, 6), 4


def actions(num, num_actions):
    generator = np.random.default_rng(0)
    return generator.integers(num_actions, size=(num, len(SEEDS)))


def started():
    games = GamesAtOnce("Breakout", np.array(SEEDS), PROTOCOL, STACK)
    games.reset()
    return games


@pytest.mark.slow
def test_each_game_is_as_if_it_were_alone():
    games = started()
    alone = [AtariGame("Breakout", seed, PROTOCOL) for seed in SEEDS]
    histories = [[game.reset()] for game in alone]
    ended = 0
    for chosen in actions(250, games.num_actions):
        shown = games.step(chosen)
        for i, (game, action) in enumerate(zip(alone, chosen, strict=True)):
            step = game.step(int(action))
            assert shown.rewards[i] == step.reward
            assert shown.is_terminal[i] == step.is_terminal
            assert shown.is_over[i] == games.is_first[i] == step.is_over
            if step.is_over:
                histories[i] = [game.reset()]
                ended += 1
            else:
                histories[i].append(step.frame)
            last = histories[i][-STACK:]
            assert games.ages[i] == len(last) - 1
            np.testing.assert_array_equal(games.frames[i, -len(last) :], last)
    assert ended > 2


@pytest.mark.slow
def test_games_that_are_restored_have_the_same_future():
    games, chosen = started(), actions(250, 4)
    for own in chosen[:60]:
        games.step(own)
    saved = games.state()

    def future(games):
        for own in chosen[60:]:
            yield games.step(own), games.frames.copy(), games.ages.copy()

    expected = list(future(games))
    other = GamesAtOnce("Breakout", np.array([7, 8]), PROTOCOL, STACK)
    other.restore(saved)
    jax.tree.map(np.testing.assert_array_equal, other.state(), saved)
    for ours, theirs in zip(expected, future(other), strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert any(step.is_over.any() for step, *_ in expected)
