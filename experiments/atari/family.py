"""Agents on games as a family of runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.atari import outcomes
from experiments.atari.config import Config
from experiments.harness.family import Family
from experiments.harness.memory import Needs

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
    from experiments.atari.code import CODE

    return CODE


FAMILY = Family(
    name="atari",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.suite}-{config.game}-{config.agent}",
    run_seconds=run_seconds,
    cost=f"{1e3 * UPDATE_SECONDS['dqn']:.1f} ms for an update of DQN on MinAtar",
    describe=describe,
    in_words=lambda rows, _: outcomes.in_words(rows),
    memory=memory,
)
