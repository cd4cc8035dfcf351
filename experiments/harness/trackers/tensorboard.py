"""TensorBoard: event files in `tensorboard/<arm, seed>/` of the run directory."""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter

from experiments.harness import files
from experiments.harness.trackers.tracker import Series


class _EventFile:
    """One event file, which holds a series from its first step."""

    def __init__(self, series: Series):
        directory = series.directory / series.file_name
        files.refuse_link(directory)
        _empty(directory)
        # A board that has read the old file goes on to the new one, because its name
        # comes after it, and forgets the old steps.
        self._writer = SummaryWriter(
            str(directory), purge_step=0, filename_suffix=f".{time.time_ns()}"
        )
        settings = "\n".join(
            f"| {key} | {series.config[key]} |" for key in series.config
        )
        self._writer.add_text(
            "config", f"| setting | value |\n|---|---|\n{settings}", 0
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def finish(self, outcome: str) -> None:
        if outcome:
            self._writer.add_text("outcome", outcome, 0)
        self._writer.close()


def _empty(directory: Path) -> None:
    """Removes all events; one empty file stays, because a board may be reading it."""
    paths = sorted(directory.glob("events.out.tfevents.*"))
    for old in paths[:-1]:
        old.unlink()
    for last in paths[-1:]:
        with files.open_own(last) as file:
            file.truncate(0)


def track(series: Series) -> _EventFile:
    """Replaces the event file of a series."""
    return _EventFile(series)
