"""What a tracker is, and what it is told of a run.

Its module has a function `track(series)` that returns a `Tracker`. Metrics come from
the first line on each time a run is continued or exported, so that nothing has to be
remembered here: a tracker replaces what it has of a series, or passes over the steps
that it has.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from experiments.harness.run_members import Member


@dataclasses.dataclass(frozen=True)
class Series:
    """One member of a run directory, which is one run of a tracker."""

    run: Path
    """The run directory."""
    directory: Path
    """The tracker's directory in the run's; it exists, and no other is written to."""
    experiment: str
    member: Member
    config: Mapping[str, Any]
    """The member's settings, as JSON."""

    @property
    def name(self) -> str:
        """In words, such as `projected, seed 3`."""
        return self.member.name or "run"

    @property
    def file_name(self) -> str:
        """The same as one part of a path."""
        return quote(self.name, safe=" ,=+()")


class Tracker(Protocol):
    """Where the metrics of one series go. All may raise; it is told to the user."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of a step; steps increase."""
        ...

    def flush(self) -> None:
        """Makes what was logged visible; called after each evaluation."""
        ...

    def finish(self, outcome: str) -> None:
        """Ends the series for now.

        Args:
          outcome: What became of the run, in words; empty if that is not known.
        """
        ...
