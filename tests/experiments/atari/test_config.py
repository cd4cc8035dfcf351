"""Times of a config in frames, updates and rounds; what it refuses."""

import pytest

from experiments.atari.agents import PRESETS, RATES, SHORT_SIZES, SIZES
from experiments.atari.config import Config


@pytest.mark.parametrize(
    ("steps_per_update", "num_envs", "expected"),
    [
        # (steps of each game, updates, frames) of a round
        (4.0, 1, (4, 1, 4)),
        (1.0, 1, (1, 1, 1)),
        (0.5, 1, (1, 2, 1)),
        (4.0, 8, (1, 2, 8)),
        (8.0, 2, (4, 1, 8)),
    ],
)
def test_rounds(steps_per_update, num_envs, expected):
    config = Config(agent_steps_per_update=steps_per_update, num_envs=num_envs)
    assert (config.game_steps, config.round_updates, config.round_frames) == expected
    assert config.num_steps == -(-500_000 // expected[2])
    assert config.updates(100_000) == 100_000 / steps_per_update


def test_a_reset_comes_when_its_frames_are_over():
    assert Config(reset="full", reset_frames=12_250).reset_updates == 3_063
    assert Config(reset="full", reset_frames=12_000).reset_updates == 3_000
    assert Config(reset="full", reset_frames=1).reset_updates == 1


def test_frames_of_atari_are_four_for_a_step():
    config = Config(suite="ale", num_frames=10**6, agent_steps_per_update=1.0)
    assert config.round_frames == 4
    assert config.num_steps == 250_000
    assert config.cycle_updates == 25_000


def test_the_rate_is_low_from_a_frame_on():
    config = Config(stop_cycling_frames=105_000, learning_starts_frames=5_000)
    assert config.stop_updates == 25_000
    assert Config().stop_updates == 2**30


def test_presets_are_changed_by_flags():
    config = Config(agent="rainbow", dueling=False, n_step=5, replay_steps=1_000)
    assert config.switches == PRESETS["rainbow"]._replace(dueling=False, n_step=5)
    assert config.sizes == SIZES["minatar", "rainbow"]._replace(replay_steps=1_000)
    assert Config().switches == PRESETS["dqn"]


def test_a_short_budget_changes_times_of_atari():
    config = Config(suite="ale", budget="short", target_period_frames=4)
    expected = SHORT_SIZES["ale", "dqn"]._replace(target_period_frames=4)
    assert config.sizes == expected


def test_rates_are_those_of_the_suite():
    def rates(**own):
        config = Config(**own)
        return config.learning_rate, config.low_learning_rate

    # MinAtar's stand in the configs of runs that are to be continued.
    assert rates() == RATES["minatar"] == (1e-3, 1e-5)
    assert rates(suite="ale", agent="rainbow") == (6.25e-5, 1e-6)
    assert rates(suite="ale", learning_rate=0.1) == (0.1, 1e-6)
    cyclic = {"learning_rate_schedule": "cyclic", "low_learning_rate": 1e-7}
    assert rates(**cyclic) == (1e-3, 1e-7)


def test_updates_are_counted_from_the_first_one():
    config = Config(num_frames=25_000, learning_starts_frames=5_000)
    assert config.num_updates == 5_000


@pytest.mark.parametrize(("steps", "first"), [(1.0, 4), (4.0, 1), (0.5, 4)])
def test_learning_starts_when_there_is_a_return_of_all_its_steps(steps, first):
    config = Config(agent_steps_per_update=steps, n_step=3, learning_starts_frames=0)
    assert config.learning_starts_round == first


def test_evaluations_are_those_of_the_suite_and_the_agent():
    assert Config().evaluation == (0, 0.05)
    assert Config(suite="ale").evaluation == (3, 0.05)
    assert Config(suite="ale", agent="rainbow").evaluation == (3, 0.0)
    own = Config(suite="ale", evaluation_episodes=0, evaluation_epsilon=0.01)
    assert own.evaluation == (0, 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"game": "Pong"}, "game=Pong: must be one of Asterix, Breakout, Freeway"),
        ({"suite": "ale", "game": "Doom"}, "game=Doom: must be one of Alien, Amidar"),
        (
            {"agent_steps_per_update": 2.5},
            "agent_steps_per_update=2.5: must be a multiple or a whole part of num_env",
        ),
        ({"agent_steps_per_update": 1e-6}, "agent_steps_per_update=1e-06: must be at"),
        (
            {"agent_steps_per_update": 1 / 512},
            "agent_steps_per_update=0.001953125: must be such that a round has at most "
            "256 updates and as many steps of each game; with num_envs=1 it has 512 an",
        ),
        ({"agent_steps_per_update": 512}, "agent_steps_per_update=512: must be such "),
        (
            {"learning_rate_schedule": "one_cycle", "warmup_fraction": 1.0},
            "warmup_fraction=1.0: must be at least 0 and less than 1",
        ),
        ({"num_frames": 5_000}, "learning_starts_frames=5000: must be less than num_f"),
        ({"replay_steps": 16}, "replay_steps=16: must be at least 17 for each game"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be greater than 0"),
        ({"final_epsilon": 1.5}, "final_epsilon=1.5: must be at least 0 and at most 1"),
        ({"num_envs": 0}, "num_envs=0: must be at least 1"),
        ({"n_step": 0}, "n_step=0: must be at least 1"),
        ({"evaluation_episodes": 1}, "evaluation_episodes=1: must be 0 with MinAtar"),
        ({"evaluation_epsilon": 2.0}, "evaluation_epsilon=2.0: must be at least 0 and"),
        ({"max_noops": -1}, "max_noops=-1: must be at least 0"),
        ({"budget": "short"}, "budget=short: must be left out with suite=minatar"),
        ({"max_episode_frames": 0}, "max_episode_frames=0: must be at least 1"),
        ({"max_episode_frames": 9}, "max_episode_frames=9: must be left out with su"),
        ({"max_noops": 10}, "max_noops=10: must be left out with suite=minatar"),
        ({"life_loss_is_terminal": True}, "life_loss_is_terminal=True: must be left o"),
        ({"cycle_frames": 10}, "cycle_frames=10: must be left out with learning_rate_"),
        ({"warmup_fraction": 0.2}, "warmup_fraction=0.2: must be left out with a cons"),
        ({"low_learning_rate": 0.1}, "low_learning_rate=0.1: must be left out with a "),
        ({"reset_frames": 9}, "reset_frames=9: must be left out without resets"),
        ({"num_atoms": 5}, "num_atoms=5: must be left out unless categorical"),
        ({"noise_scale": 0.5}, "noise_scale=0.5: must be left out unless noisy"),
        ({"priority_exponent": 1.0}, "priority_exponent=1.0: must be left out unless "),
        (
            {"agent": "rainbow", "final_epsilon": 0.0},
            "final_epsilon=0.0: must be left out with a noisy agent",
        ),
        (
            {"learning_rate_schedule": "cusum", "stop_cycling_frames": 9_000},
            "stop_cycling_frames=9000: must be left out with a detector",
        ),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 -- compared below
        Config(**arguments)
    assert str(raised.value).startswith(message)
