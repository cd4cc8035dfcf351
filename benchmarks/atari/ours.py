"""Our agents in the same setting, and their parts."""

import dataclasses

import numpy as np

from benchmarks.atari.setting import Setting
from experiments.atari.config import Config
from experiments.atari.emulated import sizes
from experiments.atari.emulated.member import Member
from experiments.atari.emulated.programs import Programs
from experiments.atari.environments.ale import FRAME_SHAPE
from experiments.atari.replay import rows as ring
from experiments.atari.replay.rows import Step


def config_of(setting: Setting) -> Config:
    """The setting as a config."""
    frames = 4 * setting.replay_steps
    config = Config(
        suite="ale",
        agent=setting.agent,
        game=setting.game,
        agent_steps_per_update=float(setting.steps_per_update),
        num_frames=2**30,
        learning_rate=setting.learning_rate,
        replay_steps=setting.replay_steps,
        learning_starts_frames=frames,
        target_period_frames=4 * setting.target_period_steps,
        batch_size=setting.batch_size,
        discount=setting.discount,
        eval_every=max(1, setting.replay_steps // 100),
        evaluation_episodes=0,
    )
    if config.switches.noisy:
        return config
    return dataclasses.replace(
        config, exploration_frames=1, final_epsilon=setting.epsilon
    )


class Ours:
    """Our agent, with its frames in a file as in a run."""

    def __init__(self, setting: Setting, frames: np.ndarray | None = None) -> None:
        self.setting = setting
        self.config = config_of(setting)
        self.programs = Programs(self.config)
        self.member = Member(self.programs, self.config)
        self.state = self.member.init()
        shape = sizes.frames_shape(self.config)
        self.member.keep_frames_in(
            np.zeros(shape, np.uint8) if frames is None else frames, self.state
        )

    def fill(self, num: int) -> None:
        """Takes random steps without learning, or stores copies of one."""
        if self.setting.fills_by_playing:
            self.run(num)
            return
        step = Step(*(np.zeros(1, row.dtype) for row in self.member.replay.rows))
        step = step._replace(frames=np.ones((1, *FRAME_SHAPE), np.uint8))
        for _ in range(num):
            self.member.replay.append(step)
        rounds = np.asarray(num // self.config.round_steps)
        self.state = self.state._replace(
            replay=self.member.replay.state(), round=rounds
        )

    def run(self, num: int) -> None:
        """Runs steps of whole rounds; returns when all is done."""
        rounds = -(-num // self.config.round_steps)
        self.state = self.member.advance(self.state, rounds)
        np.asarray(self.state.learning.learner.num_updates)


def bytes_per_step(setting: Setting) -> float:
    """Bytes of the replay, without its slack."""
    layout = sizes.layout(config_of(setting))._replace(length=1, slack=0)
    return ring.num_bytes(layout, FRAME_SHAPE)
