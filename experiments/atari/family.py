"""Agents on games as a family of runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.atari.config import Config
from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.harness.messages import UserError

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

STEP_SECONDS = {"dqn": 5e-5, "rainbow": 1e-4}
"""Of a step of the agent on MinAtar on 2 cores."""
UPDATE_SECONDS = {"dqn": 8e-4, "rainbow": 2e-3}
"""Of an update on MinAtar on 2 cores."""
OBSERVATION = 10 * 10 * 10
"""Bytes of the largest one of MinAtar."""


def run_seconds(config: Config) -> float:
    """An estimate: steps, and updates."""
    steps = config.num_steps * config.round_steps
    updates = config.num_steps * config.round_updates
    return steps * STEP_SECONDS[config.agent] + updates * UPDATE_SECONDS[config.agent]


def memory(config: Config) -> Needs:
    """At the least: the replay, of observations of four channels."""
    return Needs(member=config.sizes.replay_steps * OBSERVATION * 4 // 10)


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    return (
        f"{entry['num_frames']:,} frames, {entry['num_updates']:,} updates, "
        f"{entry['num_episodes']:,} episodes"
    )


def _code() -> "ArrayCode[Config]":
    from experiments.atari.experiment import Experiment
    from experiments.atari.figures import draw_run
    from experiments.atari.outcomes import summarize
    from experiments.harness.members import ArrayCode

    def experiment(config: Config) -> Experiment:
        if config.suite == "ale":
            raise UserError("agents learn on MinAtar only so far: --suite minatar")
        return Experiment(config)

    return ArrayCode(
        experiment=experiment,
        summarize=summarize,
        draw=draw_run,
        shown=("mean_return_last_100_episodes", "td_error"),
    )


FAMILY = Family(
    name="atari",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.suite}-{config.game}-{config.agent}",
    run_seconds=run_seconds,
    cost=f"{1e3 * UPDATE_SECONDS['dqn']:.1f} ms for an update of DQN on MinAtar",
    describe=describe,
    memory=memory,
)
