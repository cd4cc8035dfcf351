"""The game on the emulator against gymnasium's, and against itself when restored."""

import json
import pickle
import sys
import warnings

import numpy as np
import pytest

from experiments.atari.environments.ale import AtariGame, Protocol
from experiments.atari.environments.games import ATARI_GAMES
from experiments.harness.messages import UserError

ale_py = pytest.importorskip("ale_py", reason="the extra [atari] is not installed")

PLAIN = Protocol(max_noops=0, life_loss_is_terminal=False)


def gymnasium_game(game, *, sticky=0.0, seed=0, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gymnasium

        gymnasium.register_envs(ale_py)
        env = gymnasium.make(
            f"ALE/{game}-v5",
            frameskip=1,
            repeat_action_probability=sticky,
            full_action_space=options.pop("full_action_space", False),
            max_num_frames_per_episode=options.pop("max_frames", 108_000),
        )
        env = gymnasium.wrappers.AtariPreprocessing(env, **options)
        first, _ = env.reset(seed=seed)
    return env, first


def play(game, env, num_steps, num_actions, seed=0):
    """Steps both with the same actions, and compares what each shows."""
    generator = np.random.default_rng(seed)
    num_over = num_terminal = 0
    for _ in range(num_steps):
        action = int(generator.integers(num_actions))
        ours = game.step(action)
        frame, reward, terminal, truncated, _ = env.step(action)
        np.testing.assert_array_equal(ours.frame, frame)
        assert ours.reward == reward
        assert ours.is_terminal == terminal
        num_terminal += terminal
        if ours.is_over:
            assert terminal or truncated
            np.testing.assert_array_equal(game.reset(), env.reset()[0])
            num_over += 1
    return num_over, num_terminal


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Breakout", "Pong", "Seaquest", "Hero"])
def test_frames_and_rewards_are_those_of_gymnasium(name):
    game = AtariGame(name, 0, PLAIN)
    env, first = gymnasium_game(name, noop_max=0)
    np.testing.assert_array_equal(game.reset(), first)
    num_over, _ = play(game, env, 400, len(game.actions))
    if name == "Breakout":
        assert num_over > 0


@pytest.mark.slow
def test_no_ops_are_those_of_gymnasium():
    game = AtariGame("Pong", 0)
    env, _ = gymnasium_game("Pong", noop_max=30)
    env.unwrapped.np_random = np.random.default_rng(5)
    game._generator = np.random.default_rng(5)
    starts = []
    for _ in range(3):
        starts.append(game.reset())
        np.testing.assert_array_equal(starts[-1], env.reset()[0])
    assert any((starts[0] != start).any() for start in starts)


@pytest.mark.slow
def test_a_lost_life_is_terminal_where_that_is_asked_for():
    protocol = Protocol(max_noops=0, life_loss_is_terminal=True)
    game = AtariGame("Breakout", 0, protocol)
    plain = AtariGame("Breakout", 0, PLAIN)
    game.reset()
    plain.reset()
    generator = np.random.default_rng(0)
    terminal = over = 0
    while over < 1:
        action = int(generator.integers(len(game.actions)))
        ours, theirs = game.step(action), plain.step(action)
        assert (ours.is_over, ours.reward) == (theirs.is_over, theirs.reward)
        assert ours.is_terminal or not theirs.is_terminal
        terminal += ours.is_terminal
        over += ours.is_over
    assert terminal == 5


def test_an_episode_is_cut_short():
    game = AtariGame("Pong", 0, Protocol(max_noops=0, max_episode_frames=40))
    game.reset()
    steps = [game.step(0) for _ in range(10)]
    assert [step.is_over for step in steps] == [False] * 9 + [True]
    assert not any(step.is_terminal for step in steps)
    game.reset()
    assert not game.step(0).is_over


def test_a_picture_is_the_screen_in_colour():
    game = AtariGame("Breakout", 0, PLAIN, in_color=True)
    game.reset()
    for action in (1, 0, 0, 2):
        game.step(action)
    picture = game.picture
    assert picture.shape == (210, 160, 3)
    # The same two screens, whose grey the emulator has from their colours.
    grey = picture @ np.array([0.2989, 0.5870, 0.1140])
    np.testing.assert_allclose(grey, game._screens[0], atol=1.5)
    assert (picture[..., 0] != picture[..., 2]).any()


def test_action_sets():
    assert len(AtariGame("Breakout", 0, PLAIN).actions) == 4
    assert len(AtariGame("Breakout", 0, Protocol(full_action_set=True)).actions) == 18


def test_sticky_actions_repeat_the_action_before():
    frames = {}
    for sticky in (0.0, 0.25):
        game = AtariGame("Breakout", 0, Protocol(max_noops=0, sticky_actions=sticky))
        game.reset()
        frames[sticky] = [game.step(1 + i % 3).frame for i in range(30)]
    assert any((a != b).any() for a, b in zip(frames[0.0], frames[0.25], strict=True))


def future(game, num_steps=150, seed=1):
    """What a game shows when it is played on, with starts of new episodes."""
    generator, shown = np.random.default_rng(seed), []
    for _ in range(num_steps):
        step = game.step(int(generator.integers(len(game.actions))))
        shown.append((step.frame.tobytes(), *step[1:]))
        if step.is_over:
            shown.append(game.reset().tobytes())
    return shown


def test_the_action_before_is_restored_as_well():
    game = AtariGame("Breakout", 0, Protocol(max_noops=0, sticky_actions=1.0))
    game.reset()
    game._last_action = game.actions[2]  # to the right, for good
    saved = game.save()
    expected = [game.step(0).frame for _ in range(5)]
    other = AtariGame("Breakout", 0, Protocol(max_noops=0, sticky_actions=1.0))
    other.restore(saved)
    for frame in expected:
        np.testing.assert_array_equal(other.step(3).frame, frame)
    assert (expected[4] != expected[0]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Breakout", "MsPacman"])
def test_a_game_that_is_restored_has_the_same_future(name):
    protocol = Protocol(sticky_actions=0.25, life_loss_is_terminal=True)
    game = AtariGame(name, 3, protocol)
    game.reset()
    future(game, 37, seed=0)
    saved = pickle.loads(pickle.dumps(game.save()))
    expected = future(game)
    game.restore(saved)
    assert future(game) == expected
    other = AtariGame(name, 4, protocol)
    other.restore(saved)
    assert future(other) == expected


SAVED_ELSEWHERE = """
import json, pathlib, pickle, sys
from experiments.atari.environments.ale import AtariGame, Protocol
game = AtariGame("Breakout", 9, Protocol(sticky_actions=0.25))
game.restore(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()))
print(json.dumps([game.step(1 + i % 3).frame.sum().item() for i in range(60)]))
"""


@pytest.mark.slow
def test_it_has_the_same_future_in_another_process(run_python, tmp_path):
    game = AtariGame("Breakout", 3, Protocol(sticky_actions=0.25))
    game.reset()
    future(game, 20)
    path = tmp_path / "saved"
    path.write_bytes(pickle.dumps(game.save()))
    expected = [game.step(1 + i % 3).frame.sum().item() for i in range(60)]
    printed = run_python(SAVED_ELSEWHERE, str(path), PYTHONPATH=":".join(sys.path))
    assert json.loads(printed) == expected


def test_seeds_differ():
    starts = [AtariGame("SpaceInvaders", seed).reset() for seed in range(4)]
    assert any((starts[0] != start).any() for start in starts[1:])


# Of minimal action sets, as the emulator has had them since Bellemare et al. (2013).
NUM_ACTIONS = {
    3: ("Freeway", "Skiing"),
    4: ("Atlantis", "Breakout"),
    5: ("Surround",),
    6: (
        *("Bowling", "DemonAttack", "NameThisGame", "Pong", "Qbert", "SpaceInvaders"),
        "UpNDown",
    ),
    7: ("Assault",),
    8: ("Gopher", "Phoenix", "Tutankham"),
    9: ("Asterix", "BeamRider", "CrazyClimber", "Enduro", "MsPacman", "VideoPinball"),
    10: ("Amidar", "TimePilot", "WizardOfWor"),
    14: ("Asteroids", "KungFuMaster"),
}
FEWER = {game: num for num, names in NUM_ACTIONS.items() for game in names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATARI_GAMES)
def test_each_of_the_57_games_can_be_played(name):
    game = AtariGame(name, 0)
    assert len(game.actions) == len(set(game.actions)) == FEWER.get(name, 18)
    assert game.actions[0] == 0  # a no-op
    first = game.reset()
    # Some begin with seconds in which nothing moves.
    for step in range(300):
        shown = game.step(step % len(game.actions))
        assert shown.frame.shape == (84, 84)
        assert shown.frame.dtype == np.uint8
        if step > 5 and (shown.frame != first).any():
            break
    else:
        pytest.fail("nothing moves")


def test_a_rom_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setattr(ale_py.roms, "get_rom_path", lambda _: None)
    with pytest.raises(UserError, match="ale-py has no ROM of Pong: install it again"):
        AtariGame("Pong", 0)


def test_an_emulator_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[atari\]'"):
        AtariGame("Pong", 0)
