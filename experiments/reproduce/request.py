"""A figure as it is asked for: what finds its runs, here or on another machine."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.harness import arm_groups
from experiments.harness.arm_group import Unit
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
        preset = registry.find(self.name).presets[self.scale]
        return preset.with_settings(self.apart).arms

    @property
    def seeds(self) -> range:
        """Every arm is run with these."""
        return range(self.num_seeds)

    def units(self) -> list[Unit]:
        """What has to be run for it, finished or not."""
        return arm_groups.units(self.family, self.arms, self.seeds, self.directory)
