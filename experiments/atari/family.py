"""Agents on games as a family of runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.atari import outcomes
from experiments.atari.config import Config
from experiments.harness.family import Family
from experiments.harness.memory import Needs

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

# By suite and agent, on one core. MinAtar's are means of its games: DQN takes half of
# it in Breakout, and twice as long where observations have ten channels.
STEP_SECONDS = {
    ("minatar", "dqn"): 1e-4,
    ("minatar", "rainbow"): 2e-4,
    ("ale", "dqn"): 2.5e-3,
    ("ale", "rainbow"): 4e-3,
}
"""Of a step of the agent, without learning."""
UPDATE_SECONDS = {
    ("minatar", "dqn"): 6e-4,
    ("minatar", "rainbow"): 6e-3,
    ("ale", "dqn"): 4e-2,
    ("ale", "rainbow"): 9e-2,
}
"""Of an update."""
OBSERVATION = 10 * 10 * 10
"""Bytes of the largest one of MinAtar."""


def run_seconds(config: Config) -> float:
    """An estimate: steps, and updates."""
    kind = config.suite, config.agent
    steps = config.num_steps * config.round_steps
    updates = config.num_steps * config.round_updates
    return steps * STEP_SECONDS[kind] + updates * UPDATE_SECONDS[kind]


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
    cost="{:.1f} ms for an update of DQN on MinAtar, {:.0f} ms on Atari".format(
        *(1e3 * UPDATE_SECONDS[suite, "dqn"] for suite in ("minatar", "ale"))
    ),
    describe=describe,
    in_words=lambda rows, _: outcomes.in_words(rows),
    memory=memory,
)
