"""Runs several arms and seeds of one family, in one group for each program.

Arms that differ only in numbers share a compiled program and a run directory, which is
continued after an interruption like that of a single run. If several processes share
the work, each part of the group has a directory.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import arm_group, parts
from experiments.harness.arm_group import Unit, groups
from experiments.harness.family import Family
from experiments.harness.messages import UserError, tell
from experiments.harness.run_files import other_settings, read_rows
from experiments.harness.trackers import registry
from experiments.harness.trackers.following import catch_up


def run(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
) -> None:
    """Trains every arm with every seed, or the runs that are left.

    Raises:
      UserError: some runs had other defaults. Or they had other settings of JAX and
        some runs are left, which would then not compare.
    """
    log = next(iter(arms.values())).log
    registry.require(log)
    for group in groups(family, arms, seeds):
        parts.complete(family, group, directory)
    todo = units(family, arms, seeds, directory)
    check_settings(family, todo)
    left = [unit for unit in todo if not arm_group.is_finished(family, unit)]
    for unit in left:
        arm_group.require_room(family, unit, arms)
    for unit in todo:
        if unit not in left:
            catch_up(unit.path, log)
    for unit in left:
        title = f"part {todo.index(unit) + 1} of {len(todo)}"
        arm_group.train(family, unit, arms, title=title)
    for group in groups(family, arms, seeds):
        parts.gather(family, group, directory)


def units(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
) -> list[Unit]:
    """The units to run, by one process in turn or by several at once."""
    return [
        unit
        for group in groups(family, arms, seeds)
        for unit in parts.units(family, group, directory)
    ]


def rows(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
) -> Iterator[dict[str, Any]]:
    """The metrics of finished runs, one row for each evaluation, arm and seed.

    Raises:
      UserError: some runs are not finished.
    """
    for group in groups(family, arms, seeds):
        path = arm_group.unit_in(family, group, directory).path
        if not parts.gather(family, group, directory):
            names = ", ".join(group.arms)
            raise UserError(f"{path} ({names}) has not been run to its end")
        yield from read_rows(path)


def cost(
    family: Family[Any], arms: Mapping[str, Any], num_seeds: int
) -> tuple[int, float]:
    """Updates of all arms and seeds together, and an estimate of the seconds."""
    updates = sum(config.num_steps for config in arms.values())
    seconds = sum(family.run_seconds(config) for config in arms.values())
    return updates * num_seeds, seconds * num_seeds


def check_settings(family: Family[Any], todo: Sequence[Unit]) -> None:
    """Compares the settings of JAX in the runs of units with those now.

    Raises:
      UserError: they differ, and some runs are left.
    """
    finished = all([arm_group.is_finished(family, unit) for unit in todo])
    for unit in todo:
        differ = ", ".join(other_settings(unit.path))
        if differ and not finished:
            raise UserError(
                f"{unit.path} was run under other settings of JAX than the rest would "
                f"be: {differ}; name another directory, or set them as they are there"
            )
        if differ:
            tell(f"{unit.path} is finished, its results are as it ran: {differ}")
