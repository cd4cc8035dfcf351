"""Gives a tracker the metrics of a run directory, also while it is written."""

import contextlib
import hashlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.harness import files, own_directory, run_members
from experiments.harness.messages import UserError
from experiments.harness.run_files import (
    ABOUT,
    CONFIG,
    METRICS,
    is_filled,
    parse_metrics,
    read_description,
    read_summary,
)
from experiments.harness.run_members import Member
from experiments.harness.trackers.tracker import Series, Tracker

_LOGGED = "logged.json"
_LABELS = ("step", "arm", "seed")


def export(run: Path, name: str, is_last: Callable[[], bool] = lambda: True) -> None:
    """Logs all metrics of a run directory, from the first step.

    Args:
      run: The run directory.
      name: The name of the tracker.
      is_last: Called before each read of new metrics, until it returns True, when no
        more will be added. It may wait.

    Raises:
      UserError: There is no run, or a file is out of reach or in use.
      Exception: Any error of the tracker.
    """
    track = importlib.import_module(f"experiments.harness.trackers.{name}").track
    description = read_description(run / CONFIG)
    if description is None:
        raise UserError(f"{run} holds no run: name a run directory")
    directory = _directory(run, name)
    lines = _Lines(run / METRICS)
    open_series: dict[Member, Tracker] = {}
    with own_directory.locked(directory / ".lock"):
        over = False
        while not over:
            over = is_last()
            for row in parse_metrics(run, lines.read()):
                member = run_members.of_row(row)
                if member not in open_series:
                    series = _series(run, directory, description, member)
                    open_series[member] = track(series)
                open_series[member].log(_step(run, row), numbers(row))
            for tracker in open_series.values():
                tracker.flush()
        summary = read_summary(run, is_filled)
        for member, tracker in open_series.items():
            tracker.finish(run_members.outcome(summary, member))
        text = files.dump_json({"metrics": lines.digest}, indent=2) + "\n"
        files.write_atomically(directory / _LOGGED, text.encode())


def is_logged(run: Path, name: str) -> bool:
    """Whether a tracker has all metrics of a run directory."""
    with contextlib.suppress(ValueError, UserError):
        logged = files.parse_json(files.read_bytes(run / name / _LOGGED) or b"")
        metrics = files.read_bytes(run / METRICS) or b""
        return logged == {"metrics": files.digest(metrics)}
    return False


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics in a row that are numbers, in sections of a tracker's page.

    Metrics of a layer have the layer after a slash: `weight_norm/conv_0`.
    """
    return {
        name.replace(".", "/"): float(value)
        for key, values in row.items()
        if key not in _LABELS
        for name, value in _flat(key, values)
        if isinstance(value, bool | int | float)
    }


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(f"{name}.{index}", item)
    else:
        yield name, value


def _series(
    run: Path, directory: Path, description: Mapping[str, Any], member: Member
) -> Series:
    about = description.get(ABOUT)
    experiment = about.get("experiment", "") if isinstance(about, Mapping) else ""
    return Series(
        run=run,
        directory=directory,
        experiment=str(experiment),
        member=member,
        config=run_members.config_of(member, description["config"]),
    )


def _directory(run: Path, name: str) -> Path:
    """A tracker's own directory in a run directory."""
    directory = run / name
    files.refuse_link(directory)
    directory.mkdir(exist_ok=True)
    return directory


def _step(run: Path, row: Mapping[str, Any]) -> int:
    if type(row.get("step")) is not int:
        raise UserError(f"{run / METRICS} is damaged: a line has no step")
    return row["step"]


class _Lines:
    """The whole lines of a file that grows, each once."""

    def __init__(self, path: Path):
        self._path = path
        self._position = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """A digest of all lines that were read."""
        return self._digest.hexdigest()

    def read(self) -> bytes:
        """The lines that were added since the last call."""
        if not files.is_file(self._path):
            return b""
        with files.in_reach(self._path), open(self._path, "rb") as file:
            if file.seek(0, os.SEEK_END) < self._position:
                raise UserError(f"{self._path} was cut while it was read")
            file.seek(self._position)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._position += len(data)
        self._digest.update(data)
        return data
