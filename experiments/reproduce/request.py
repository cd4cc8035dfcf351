"""A figure as it is asked for: what finds its runs, here or on another machine."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import arm_groups, parts
from experiments.harness.arm_group import Group, Unit
from experiments.harness.family import Family
from experiments.reproduce import registry
from experiments.reproduce.figure import Scale


@dataclasses.dataclass(frozen=True)
class Request:
    """Plain values only, for it is sent to other machines."""

    name: str
    """As `registry.find` knows it."""
    scale: Scale
    num_seeds: int
    directory: Path
    """Where its runs are."""
    apart: Mapping[str, Any]
    """Settings of arms that decide no result, such as where data are."""

    @property
    def family(self) -> Family[Any]:
        """The family of its arms."""
        return registry.find(self.name).family

    @property
    def arms(self) -> Mapping[str, Any]:
        """Their configs, by name."""
        return registry.find(self.name).preset(self.scale, self.apart).arms

    @property
    def seeds(self) -> range:
        """Every arm is run with these."""
        return registry.find(self.name).presets[self.scale].seeds(self.num_seeds)

    def make_parts(self, arms_per_part: int, seeds_per_part: int) -> None:
        """Divides its groups; hold `parts.lock` of the directory. 0 stands for all."""
        for group in self._groups():
            parts.make(
                self.family,
                group,
                self.directory,
                num_arms=arms_per_part or None,
                num_seeds=seeds_per_part or None,
            )

    def require_data(self) -> None:
        """Reads or fetches what it needs, to say here and now what is missing."""
        if self.family.data:
            self.family.code().load(next(iter(self.arms.values())))

    def is_gathered(self) -> bool:
        """Puts finished parts together; whether it is as `reproduce` leaves it."""
        # Of all groups, also behind one that is not finished.
        return all(
            [
                parts.gather(self.family, group, self.directory)
                for group in self._groups()
            ]
        )

    def _groups(self) -> Sequence[Group]:
        return arm_groups.groups(self.family, self.arms, self.seeds)

    def units(self) -> list[Unit]:
        """What has to be run for it, finished or not."""
        return arm_groups.units(self.family, self.arms, self.seeds, self.directory)
