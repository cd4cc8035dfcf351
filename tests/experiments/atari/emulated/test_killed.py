"""Killed and continued, a run on Atari ends with the bits of one that was not."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.atari.config import Config
from experiments.atari.emulated.member import Member
from experiments.atari.emulated.programs import Programs
from experiments.harness.checkpoints import Checkpoints
from helpers.checkout import programs

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")

# The replay overwrites its oldest steps several times.
DQN = Config(
    suite="ale",
    game="Breakout",
    num_frames=1_600,
    eval_every=8,
    batch_size=8,
    replay_steps=60,
    learning_starts_frames=200,
    target_period_frames=160,
    exploration_frames=1_000,
    evaluation_episodes=1,
    checkpoint_seconds=0.0,
    seed=3,
)
RAINBOW = dataclasses.replace(
    DQN,
    agent="rainbow",
    exploration_frames=None,
    num_atoms=11,
    num_envs=2,
    replay_steps=120,
    sticky_actions=0.25,
    life_loss_is_terminal=True,
    evaluation_episodes=0,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_kills", "times_frames"),
    [(3, 1), pytest.param(10, 4, marks=pytest.mark.thorough)],
)
@pytest.mark.parametrize("own", [DQN, RAINBOW], ids=lambda own: own.agent)
def test_killed_and_continued_it_ends_with_the_same_bits(
    own, num_kills, times_frames, tmp_path
):
    config = dataclasses.replace(own, num_frames=times_frames * own.num_frames)

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
    name = "metrics.jsonl"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
    finals = [last_checkpoint(path, config) for path in (whole, killed)]
    assert finals[0].step == finals[1].step == config.num_steps
    # With the checksums of all frames that the replay holds.
    jax.tree.map(np.testing.assert_array_equal, finals[0].state, finals[1].state)


def last_checkpoint(path, config):
    target = (Member(Programs(config), config).init(),)
    checkpoints = Checkpoints(path / "checkpoints")
    restored = checkpoints.restore(target)
    checkpoints.close()
    return restored
