"""The protocol of trackers, and the data of a run that they get.

A tracker's module has a function `track(series)` that returns a `Tracker`. Metrics come
from the first line on each time a run is continued or exported. So a tracker either
replaces its series or skips the steps that it has.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from experiments.harness.run_members import Member


@dataclasses.dataclass(frozen=True)
class Series:
    """One member of a run directory, which becomes one run of a tracker."""

    run: Path
    """The run directory."""
    directory: Path
    """The tracker's directory in the run's: it exists, and only it is written to."""
    experiment: str
    member: Member
    config: Mapping[str, Any]
    """The member's settings, as JSON."""

    @property
    def name(self) -> str:
        """The series in words, such as `projected, seed 3`."""
        return self.member.name or "run"

    @property
    def file_name(self) -> str:
        """The name as one part of a path."""
        return quote(self.name, safe=" ,=+()")


class Tracker(Protocol):
    """A receiver of one series. All methods may raise; the user sees a warning."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of a step; steps increase."""
        ...

    def flush(self) -> None:
        """Makes what was logged visible; called after each evaluation."""
        ...

    def finish(self, outcome: str) -> None:
        """Ends the series for now.

        Args:
          outcome: The outcome of the run, in words; empty if it is not known.
        """
        ...
