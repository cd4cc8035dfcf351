"""Arms of one family that share a program: their run directory and their training."""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness import files
from experiments.harness.config import per_member_fields, settings
from experiments.harness.family import Family, require_machine
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_files import is_finished as is_finished_run
from experiments.harness.run_files import read_config
from experiments.harness.trackers import registry
from experiments.harness.trackers.following import following

CHECKPOINT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Group:
    """Arms that share a program, as the config of their run directory."""

    arms: Mapping[str, Mapping[str, Any]]
    """The settings of each arm, by name, that differ from the defaults. So a run keeps
    its config when a field is added later with a default that changes nothing."""
    seeds: tuple[int, ...]
    """The seeds of every arm."""
    all_settings: Mapping[str, Mapping[str, Any]]
    """All settings of each arm, by name, for the reader."""

    @property
    def digest(self) -> str:
        """A digest of the settings that decide the results."""
        text = files.dump_json({"arms": self.arms, "seeds": self.seeds})
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def members(self) -> list[dict[str, Any]]:
        """The labels `arm` and `seed` of each run."""
        return [{"arm": arm, "seed": seed} for arm in self.arms for seed in self.seeds]

    def part(self, arms: Sequence[str], seeds: Sequence[int]) -> "Group":
        """Some of the arms with other seeds."""
        return Group(
            arms={arm: self.arms[arm] for arm in arms},
            seeds=tuple(seeds),
            all_settings={arm: self.all_settings[arm] for arm in arms},
        )


class Unit(NamedTuple):
    """Members that one process trains, and the run directory that they share."""

    group: Group
    path: Path

    @property
    def label(self) -> str:
        """Its arms and seeds, for a message."""
        arms, seeds = list(self.group.arms), self.group.seeds
        more = f" and {len(arms) - 1} more arms" if len(arms) > 1 else ""
        of = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
        return f"{arms[0]}{more}, {of}"


def groups(
    family: Family[Any], arms: Mapping[str, Any], seeds: Sequence[int]
) -> list[Group]:
    """Groups arms by the program they need, in the order of their first arms."""
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


def unit_in(family: Family[Any], group: Group, directory: Path) -> Unit:
    """A group with the run directory that is named after it."""
    first = family.config_class(**next(iter(group.arms.values())))
    return Unit(group, directory / f"{family.group_name(first)}-{group.digest}")


def is_finished(family: Family[Any], unit: Unit) -> bool:
    """Whether all members are finished.

    Raises:
      UserError: they were run with other defaults.
    """
    _refuse_other_defaults(family, unit)
    return is_finished_run(unit.path)


def require_room(family: Family[Any], unit: Unit, arms: Mapping[str, Any]) -> None:
    """Raises `UserError` unless this machine can train a unit."""
    first = arms[next(iter(unit.group.arms))]
    require_machine(family, first, len(unit.group.members), unit.path)


def train(
    family: Family[Any],
    unit: Unit,
    arms: Mapping[str, Any],
    *,
    title: str,
    checkpoint_seconds: float | None = None,
) -> None:
    """Trains the members of a unit to their last step, or continues that.

    Args:
      family: the family of the arms.
      unit: the members and their directory.
      arms: the config of each arm, by name.
      title: the unit's name in the message that it begins.
      checkpoint_seconds: least time between two checkpoints; None for the default.
    """
    code, configs = family.code(), [arms[arm] for arm in unit.group.arms]
    loaded = code.load(configs[0])
    with opened(family, unit, configs[0].log, checkpoint_seconds) as run:
        print(
            f"{title}: {len(configs)} arms x {len(unit.group.seeds)} seeds, "
            f"{configs[0].num_steps} updates each",
            file=sys.stderr,
        )
        if run.summary is None:  # unless another process was faster
            members = [
                dataclasses.replace(config, seed=seed, num_seeds=1)
                for config in configs
                for seed in unit.group.seeds
            ]
            run.finish(code.train(run, members, unit.group.members, loaded))


def opened(
    family: Family[Any],
    unit: Unit,
    log: Sequence[registry.Name] = (),
    checkpoint_seconds: float | None = None,
) -> RunDirectory:
    """The run directory of a unit, not yet entered; `log` names trackers."""
    first = family.config_class(**next(iter(unit.group.arms.values())))
    return RunDirectory(
        unit.path,
        unit.group,
        ignored=("all_settings",),
        about=family.about(first),
        followed_by=functools.partial(following, names=log),
        checkpoint_seconds=(
            CHECKPOINT_SECONDS if checkpoint_seconds is None else checkpoint_seconds
        ),
    )


def _refuse_other_defaults(family: Family[Any], unit: Unit) -> None:
    """Compares the defaults, which are not in the name of the directory."""
    group, path = unit
    try:
        there = dict((read_config(path) or {})["all_settings"])
        known = {arm: {**family.before, **dict(there[arm])} for arm in group.arms}
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing to compare; opening the directory reports what is wrong
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


def _settings(family: Family[Any], config: Any) -> dict[str, Any]:
    """All settings of an arm, except those of the group or its directory."""
    return settings(config, {"seed", "num_seeds", *family.ignored})


def _changed(family: Family[Any], config: Any) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return {
        name: value
        for name, value in _settings(family, config).items()
        if value != defaults[name]
    }
