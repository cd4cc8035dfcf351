"""Agents on games as a family of runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.atari import outcomes
from experiments.atari.config import Config
from experiments.harness import allocator
from experiments.harness.family import Family
from experiments.harness.memory import Needs

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

STEP_SECONDS = {
    ("minatar", "dqn"): 5e-5,
    ("minatar", "rainbow"): 1e-4,
    ("ale", "dqn"): 2e-3,
    ("ale", "rainbow"): 4e-3,
}
"""Seconds of a step of the agent on one core."""
UPDATE_SECONDS = {
    ("minatar", "dqn"): 8e-4,
    ("minatar", "rainbow"): 2e-3,
    ("ale", "dqn"): 3.7e-2,
    ("ale", "rainbow"): 8e-2,
}
"""Seconds of an update on one core."""
OBSERVATION = 10 * 10 * 10
"""Bytes of the largest one of MinAtar."""


def run_seconds(config: Config) -> float:
    """An estimate of the time: steps and updates."""
    steps = config.num_steps * config.round_steps
    updates = config.num_steps * config.round_updates
    kind = config.suite, config.agent
    return steps * STEP_SECONDS[kind] + updates * UPDATE_SECONDS[kind]


def memory(config: Config) -> Needs:
    """The least memory: the replay, in MinAtar of observations of four channels.

    Atari's replay is in a file, and works best if the system keeps it in memory.
    """
    if config.suite == "ale":
        size = disk(config)
        return Needs(
            member=size if config.replay_on_device else 0,
            host_member=size,
            on_one_device=True,
        )
    return Needs(member=config.sizes.replay_steps * OBSERVATION * 4 // 10)


def disk(config: Config) -> int:
    """The disk for Atari's replay, with its slack."""
    if config.suite != "ale":
        return 0
    # It imports jax, which is installed when disk space is checked.
    from experiments.atari.emulated import sizes

    return sizes.num_bytes(config)


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    return (
        f"{entry['num_frames']:,} frames, {entry['num_updates']:,} updates, "
        f"{entry['num_episodes']:,} episodes"
    )


def _keep_freed() -> None:
    allocator.keep_freed(allocator.LARGEST_KEPT)


def _code() -> "ArrayCode[Config]":
    from experiments.atari.code import CODE

    return CODE


FAMILY = Family(
    name="atari",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.suite}-{config.game}-{config.agent}",
    run_seconds=run_seconds,
    cost="0.8 ms for an update of DQN on MinAtar, 37 on Atari, on one core",
    describe=describe,
    in_words=lambda rows, _: outcomes.in_words(rows),
    prepare=_keep_freed,
    memory=memory,
    disk=disk,
    data=("record", "replay_on_device"),
)
