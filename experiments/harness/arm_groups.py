"""Several arms and seeds of one family in few groups, one for each program.

Arms that differ in numbers only share a compiled program and a run directory, which is
continued after an interruption like that of a single run.
"""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import files
from experiments.harness.config import per_member_fields, settings
from experiments.harness.family import Family, require_machine
from experiments.harness.messages import UserError, tell
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_files import (
    is_finished,
    other_settings,
    read_config,
    read_rows,
)
from experiments.harness.trackers import registry
from experiments.harness.trackers.following import catch_up, following

CHECKPOINT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Group:
    """Arms that one program runs; the config of their directory."""

    arms: Mapping[str, Mapping[str, Any]]
    """By name, the settings that differ from the defaults: so a field that is added
    later, with a default that changes nothing, does not part a run from its config."""
    seeds: tuple[int, ...]
    """Every arm is run with each."""
    all_settings: Mapping[str, Mapping[str, Any]]
    """By name, every setting, for the reader."""

    @property
    def digest(self) -> str:
        """Of what decides the results."""
        text = files.dump_json({"arms": self.arms, "seeds": self.seeds})
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def members(self) -> list[dict[str, Any]]:
        """The labels of each run: `arm` and `seed`."""
        return [{"arm": arm, "seed": seed} for arm in self.arms for seed in self.seeds]


def groups(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int]
) -> list[Group]:
    """Sorts arms by the program they need, in the order of their first arms."""
    by_program: dict[tuple[Any, ...], dict[str, Any]] = {}
    for arm, config in arms.items():
        shape = tuple(
            value
            for field, value in _settings(family, config).items()
            if field not in per_member_fields(config)
        )
        by_program.setdefault(shape, {})[arm] = config
    return [
        Group(
            arms={arm: _changed(family, config) for arm, config in own.items()},
            seeds=tuple(seeds),
            all_settings={arm: _settings(family, own[arm]) for arm in own},
        )
        for own in by_program.values()
    ]


def run(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
) -> None:
    """Trains every arm with every seed, or what of it is left to do.

    Raises:
      UserError: some of it was run with other defaults, or under other settings of JAX
        while something is left to do: arms are compared with each other.
    """
    log = next(iter(arms.values())).log
    registry.require(log)
    todo = groups(family, arms, seeds)
    _check_settings(family, todo, directory)
    for group in todo:
        if not _is_finished(family, group, directory):
            first = arms[next(iter(group.arms))]
            require_machine(family, first, len(group.members))
    for number, group in enumerate(todo, start=1):
        if _is_finished(family, group, directory):
            catch_up(_path(family, group, directory), log)
            continue
        code, configs = family.code(), [arms[arm] for arm in group.arms]
        loaded = code.load(configs[0])
        with _open(family, group, directory, configs[0]) as part:
            print(
                f"part {number} of {len(todo)}: {len(group.arms)} arms x "
                f"{len(group.seeds)} seeds, {configs[0].num_steps} updates each",
                file=sys.stderr,
            )
            if part.summary is None:  # another process may have been quicker
                members = [
                    dataclasses.replace(config, seed=seed, num_seeds=1)
                    for config in configs
                    for seed in group.seeds
                ]
                part.finish(code.train(part, members, group.members, loaded))


def rows(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
) -> Iterator[dict[str, Any]]:
    """The metrics of finished runs, one row for each evaluation, arm and seed.

    Raises:
      UserError: some are not finished.
    """
    for group in groups(family, arms, seeds):
        path = _path(family, group, directory)
        if not _is_finished(family, group, directory):
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


def _path(family: Family[Any], group: Group, directory: Path) -> Path:
    first = family.config_class(**next(iter(group.arms.values())))
    return directory / f"{family.group_name(first)}-{group.digest}"


def _is_finished(family: Family[Any], group: Group, directory: Path) -> bool:
    path = _path(family, group, directory)
    _refuse_other_defaults(family, group, path)
    return is_finished(path)


def _check_settings(
    family: Family[Any], todo: Sequence[Group], directory: Path
) -> None:
    """Compares the settings of JAX that groups were run under with those now."""
    finished = all([_is_finished(family, group, directory) for group in todo])
    for group in todo:
        path = _path(family, group, directory)
        differ = ", ".join(other_settings(path))
        if differ and not finished:
            raise UserError(
                f"{path} was run under other settings of JAX than the rest would be: "
                f"{differ}; name another directory, or set them as they are there"
            )
        if differ:
            tell(f"{path} is finished, its results are as it ran: {differ}")


def _refuse_other_defaults(family: Family[Any], group: Group, path: Path) -> None:
    """Settings that no arm sets are not in the name of the directory."""
    try:
        there = dict((read_config(path) or {})["all_settings"])
        known = {arm: {**family.before, **dict(there[arm])} for arm in group.arms}
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing that could be compared; opening it says what is wrong
    here = files.to_json(group.all_settings)
    differ = dict.fromkeys(
        f"{name} is {known[arm][name]} there and {now} here"
        for arm in here
        for name, now in here[arm].items()
        if known[arm].get(name, now) != now
    )
    if differ:
        listed = ", ".join(differ)
        raise UserError(
            f"{path} was run with other defaults: {listed}; name another directory"
        )


def _open(
    family: Family[Any], group: Group, directory: Path, first: Any
) -> RunDirectory:
    return RunDirectory(
        _path(family, group, directory),
        group,
        ignored=("all_settings",),
        about=family.about(first),
        followed_by=functools.partial(following, names=first.log),
        checkpoint_seconds=CHECKPOINT_SECONDS,
    )


def _settings(family: Family[Any], config: Any) -> dict[str, Any]:
    """All that an arm runs with, but for what the group or its directory says."""
    return settings(config, {"seed", "num_seeds", *family.ignored})


def _changed(family: Family[Any], config: Any) -> dict[str, Any]:
    """What an arm sets itself."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return {
        name: value
        for name, value in _settings(family, config).items()
        if value != defaults[name]
    }
