"""Killed and continued, a run on Atari ends with the bits of one that was not."""

import jax
import numpy as np
import pytest

from experiments.atari.config import Config
from experiments.atari.emulated.member import Member
from experiments.atari.emulated.programs import Programs
from experiments.harness.checkpoints import Checkpoints
from helpers.checkout import programs

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")

COMMON = {
    "suite": "ale",
    "num_frames": 2_560,
    "eval_every": 8,
    "learning_starts_frames": 200,
    "target_period_frames": 160,
    "exploration_frames": 1_000,
    "checkpoint_seconds": 0.0,
    "seed": 3,
}
# The replay overwrites its oldest steps several times.
DQN = Config(game="Pong", replay_steps=100, evaluation_episodes=0, **COMMON)
RAINBOW = Config(
    game="Breakout",
    agent="rainbow",
    num_envs=2,
    replay_steps=200,
    agent_steps_per_update=4.0,
    sticky_actions=0.25,
    life_loss_is_terminal=True,
    evaluation_episodes=1,
    **COMMON,
)


@pytest.mark.slow
@pytest.mark.parametrize("num_kills", [3, pytest.param(10, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("config", [DQN, RAINBOW], ids=lambda own: own.agent)
def test_killed_and_continued_it_ends_with_the_same_bits(config, num_kills, tmp_path):
    def start(name):
        return programs.start(
            "experiments.atari",
            programs.flags(config, run_directory=tmp_path / name),
            compiled=tmp_path / "compiled",
        )

    assert start("whole").wait() == 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    programs.kill_and_continue(
        lambda: start("killed"), killed, num_kills, most_seconds=2.0
    )
    for name in ("metrics.jsonl", "arrays/frames_0"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    finals = [last_checkpoint(path, config) for path in (whole, killed)]
    assert finals[0].step == finals[1].step == config.num_steps
    jax.tree.map(np.testing.assert_array_equal, finals[0].state, finals[1].state)


def last_checkpoint(path, config):
    target = (Member(Programs(config), config).init(),)
    checkpoints = Checkpoints(path / "checkpoints")
    restored = checkpoints.restore(target)
    checkpoints.close()
    return restored
