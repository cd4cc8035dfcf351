"""A request for a figure, which finds its runs here or on another machine."""

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
    """A request of plain values only, because it is sent to other machines."""

    name: str
    """Name of the figure, as `registry.find` knows it."""
    scale: Scale
    num_seeds: int
    directory: Path
    """Directory of its runs."""
    apart: Mapping[str, Any]
    """Settings of arms that change no result, such as where data are."""

    @property
    def family(self) -> Family[Any]:
        """The family of its arms."""
        return registry.find(self.name).family

    @property
    def arms(self) -> Mapping[str, Any]:
        """The configs of its arms, by name."""
        return registry.find(self.name).preset(self.scale, self.apart).arms

    @property
    def seeds(self) -> range:
        """The seeds of every arm."""
        return registry.find(self.name).presets[self.scale].seeds(self.num_seeds)

    def make_parts(self, arms_per_part: int, seeds_per_part: int) -> None:
        """Divides its groups into parts; 0 stands for all.

        The caller has to hold `parts.lock` of the directory.
        """
        for group in self._groups():
            parts.make(
                self.family,
                group,
                self.directory,
                num_arms=arms_per_part or None,
                num_seeds=seeds_per_part or None,
            )

    def require_data(self) -> None:
        """Reads or fetches its data, so that missing data are reported at once."""
        if self.family.data:
            self.family.code().load(next(iter(self.arms.values())))

    def is_gathered(self) -> bool:
        """Puts finished parts together and returns whether all runs are complete."""
        # A list, so that all groups are gathered, also after an unfinished one.
        return all(
            [
                parts.gather(self.family, group, self.directory)
                for group in self._groups()
            ]
        )

    def _groups(self) -> Sequence[Group]:
        return arm_groups.groups(self.family, self.arms, self.seeds)

    def units(self) -> list[Unit]:
        """The units of its runs, finished or not."""
        return arm_groups.units(self.family, self.arms, self.seeds, self.directory)
