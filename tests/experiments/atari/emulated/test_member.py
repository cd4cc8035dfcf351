"""Rounds on emulators: what is stored, drawn and learned, and when."""

import dataclasses

import jax
import numpy as np
import pytest

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")

from experiments.atari.config import Config
from experiments.atari.emulated import sizes
from experiments.atari.emulated.member import Member
from experiments.atari.emulated.programs import Programs
from experiments.atari.replay import rows as ring

pytestmark = pytest.mark.slow

CONFIG = Config(
    suite="ale",
    game="Breakout",
    agent="dqn",
    prioritized=True,
    n_step=3,
    num_envs=2,
    agent_steps_per_update=2.0,
    num_frames=4_000,
    eval_every=6,
    learning_starts_frames=64,
    target_period_frames=40,
    exploration_frames=100,
    replay_steps=80,
    learning_rate=1e-3,
    evaluation_episodes=0,
    life_loss_is_terminal=True,
)


@pytest.fixture(scope="module")
def programs():
    return Programs(CONFIG)


def begun(programs, config=CONFIG, frames=None):
    """A member whose frames are in memory, and its first state."""
    member = Member(programs, config)
    state = member.init()
    if frames is None:
        frames = np.zeros(sizes.frames_shape(config), np.uint8)
    assert member.keep_frames_in(frames, state)
    return member, state


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_state_and_the_frames_decide_what_follows(programs):
    member, state = begun(programs)
    for _ in range(4):  # past the end of the ring
        state, _ = member.run(state, 14)
    # Of before the buffers are donated.
    saved = jax.tree.map(np.asarray, state)
    frames = member.replay.rows.frames
    expected, metrics = member.run(state, 12)
    # The frames have gone on, as far as two checkpoints may be apart.
    other = Member(programs, CONFIG)
    other.init()
    assert other.keep_frames_in(frames, saved)
    after, measured = other.run(saved, 12)
    assert_same(after, expected)
    assert_same(measured, metrics)
    frames[(int(saved.replay.num_positions) - 1) * 2 % len(frames)] ^= 1
    assert not other.keep_frames_in(frames, saved)


def test_nothing_depends_on_what_runs_at_the_same_time(programs, monkeypatch):
    member, state = begun(programs)
    expected, metrics = member.run(state, 30)
    update = programs.update
    monkeypatch.setattr(
        programs,
        "update",
        lambda *args, **measures: jax.block_until_ready(update(*args, **measures)),
    )
    member, state = begun(programs)
    waited, measured = member.run(state, 30)
    assert_same(waited, expected)
    assert_same(measured, metrics)


def test_frames_on_the_device_change_nothing(programs):
    member, state = begun(programs)
    expected, metrics = member.run(state, 50)  # past the end of the ring
    config = dataclasses.replace(CONFIG, replay_on_device=True)
    member, state = begun(programs, config)
    after, measured = member.run(state, 50)
    assert member.replay.device_frames is not None
    assert_same(after, expected)
    assert_same(measured, metrics)


def test_only_the_last_update_before_a_line_is_measured(programs, monkeypatch):
    update, asked = programs.update, []

    def asking(*args, measures):
        asked.append(measures)
        return update(*args, measures=measures)

    monkeypatch.setattr(programs, "update", asking)
    member, state = begun(programs)
    for _ in range(2):
        state, _ = member.run(state, 12)
    assert asked == [False] * 3 + [True] + [False] * 11 + [True]


def test_seeds_differ(programs):
    states = []
    for seed in (0, 1):
        member, state = begun(programs, dataclasses.replace(CONFIG, seed=seed))
        states.append(member.run(state, 10)[0])
    assert (states[0].games.frames != states[1].games.frames).any()
    assert (states[0].replay.actions != states[1].replay.actions).any()


def test_updates_come_at_their_ratio_once_learning_has_started(programs):
    member, state = begun(programs)
    for rounds, updates in ((8, 0), (1, 1), (11, 12)):
        state, metrics = member.run(state, rounds)
        assert metrics["updates"] == updates
    assert metrics["frames"] == 20 * CONFIG.round_frames == 20 * 2 * 4
    assert state.replay.num_positions == 20


def test_the_target_network_is_renewed_when_it_is_due(programs):
    assert programs.target_updates == 5
    member, state = begun(programs)
    params, targets = {}, {}
    for rounds in (8, 4, 1, 3, 2):
        state, metrics = member.run(state, rounds)
        num_updates, learner = int(metrics["updates"]), state.learning.learner
        # Of before the buffers are donated.
        params[num_updates] = jax.tree.map(np.array, learner.params)
        targets[num_updates] = jax.tree.map(np.array, learner.target_params)
    assert [*params] == [0, 4, 5, 8, 10]
    for num_updates, copied in ((0, 0), (4, 0), (5, 5), (8, 5), (10, 10)):
        assert_same(targets[num_updates], params[copied])


def test_the_replay_holds_what_was_played(programs, monkeypatch):
    member, state = begun(programs)
    games, shown = member._games, []
    step = games.step

    def recorded(actions):
        observed = games.frames.copy(), games.ages.copy()
        results = step(actions)
        shown.append((*observed, actions, results))
        return results

    monkeypatch.setattr(games, "step", recorded)
    member.run(state, 60)
    replay = member.replay
    first, count = ring.drawable(replay.layout, replay.num_positions)
    assert (first, count) == (60 - 40 + 4 - 1, 60 - first - 3)
    for position in range(first, first + count):
        frames, ages, actions, results = shown[position]
        for stream in range(2):
            batch = ring.gather(
                replay.layout,
                replay.rows,
                np.array([position]),
                np.array([stream]),
                np.ones(1),
            )
            observation, _ = ring.observations(batch, sizes.STACK)
            one = slice(stream, stream + 1)
            expected = ring.stacked(frames[one], ages[one])
            np.testing.assert_array_equal(observation, expected)
            assert batch.actions == actions[stream]
            clipped = np.clip(results.rewards[stream], -1, 1)
            assert not batch.is_valid or batch.rewards[0, 0] == clipped


def test_flags_reach_the_games():
    flags = {
        **{"sticky_actions": 0.25, "max_noops": 5, "life_loss_is_terminal": False},
        **{"full_action_set": True, "max_episode_frames": 400},
    }
    (game,) = Programs(dataclasses.replace(CONFIG, **flags)).games([0])._games
    assert {name: getattr(game.protocol, name) for name in flags} == flags


def test_evaluations_play_whole_episodes_and_change_nothing(programs, monkeypatch):
    # All actions are random, so that the untrained agent also earns something.
    config = dataclasses.replace(CONFIG, evaluation_episodes=2, evaluation_epsilon=1.0)
    evaluating, played = Programs(config), []
    member, state = begun(evaluating, config)
    new_games = evaluating.games

    def recorded(seeds):
        games = new_games(seeds)
        step = games.step
        games.step = lambda actions: (
            played.append((actions, step(actions))) or (played[-1][1])
        )
        return games

    monkeypatch.setattr(evaluating, "games", recorded)
    after, metrics = member.run(state, 10)
    member, state = begun(programs)
    assert_same(member.run(state, 10)[0], after)
    is_over = [bool(shown.is_over[0]) for _, shown in played]
    assert sum(is_over) == 2
    assert is_over[-1]
    rewards = sum(float(shown.rewards[0]) for _, shown in played)
    assert metrics["mean_return_evaluation"] == rewards / 2 > 0
    # Of an episode with five lives.
    assert sum(bool(shown.is_terminal[0]) for _, shown in played) == 10
    counts = np.bincount([int(actions[0]) for actions, _ in played])
    assert counts.min() > 0.15 * counts.sum()
