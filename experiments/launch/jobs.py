"""Notes the jobs of each unit of a figure, in the figure's directory."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from experiments.harness import files
from experiments.harness.messages import warn

NOTES = "jobs.json"


@dataclasses.dataclass(frozen=True)
class Job:
    """A job of an engine."""

    engine: str
    number: str
    """The engine's number of the job."""
    folder: str
    """Folder of its output, kept by submitit."""

    @property
    def log(self) -> Path:
        """The file of its output."""
        return Path(self.folder) / f"{self.number}_0_log.err"


def read(directory: Path) -> dict[str, tuple[Job, ...]]:
    """The last jobs of each unit, by the name of its run directory."""
    path = directory / NOTES
    data = files.read_bytes(path)
    if data is None:
        return {}
    try:
        noted: dict[str, Any] = files.parse_json(data)
        return {name: tuple(Job(**job) for job in own) for name, own in noted.items()}
    except (ValueError, TypeError, AttributeError):
        warn(f"{path} is damaged: what is queued may be queued once more")
        return {}


def write(directory: Path, jobs: Mapping[str, Collection[Job]]) -> None:
    """Adds jobs to the notes of a directory, or replaces those of the same units."""
    noted = {**read(directory), **jobs}
    text = files.dump_json(
        {name: [dataclasses.asdict(job) for job in own] for name, own in noted.items()},
        indent=1,
    )
    files.write_atomically(directory / NOTES, f"{text}\n".encode())
