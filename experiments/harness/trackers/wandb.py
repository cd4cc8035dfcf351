"""Weights & Biases: one of its runs for each arm and seed, grouped by directory.

`WANDB_MODE=offline` writes to `wandb/` of the run directory and needs no network. The
other environment variables of W&B, such as that for the project, work as usual.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import wandb

from experiments.harness import files
from experiments.harness.trackers.tracker import Series


class _Run:
    """A run of W&B, found again by its id."""

    def __init__(self, series: Series):
        own_id = _id(series)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or series.experiment or None,
            id=own_id,
            name=series.name,
            group=os.environ.get("WANDB_RUN_GROUP") or series.run.resolve().name,
            config={
                **series.config,
                "arm": series.member.arm,
                "seed": series.member.seed,
            },
            dir=str(series.run),
            resume="allow",
            reinit="create_new",  # several at once
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, x_disable_stats=True
            ),
        )
        if self._run.offline:  # it has a series from its first step
            own = Path(self._run.dir).parent
            for old in series.directory.glob(f"offline-run-*-{own_id}"):
                if old != own and not old.samefile(own):
                    shutil.rmtree(old)
        # If the run is continued, W&B already has the earlier steps.
        self._first = self._run.step

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if step >= self._first:
            self._run.log(dict(metrics), step=step)

    def flush(self) -> None:
        """Does nothing, because W&B sends in the background."""

    def finish(self, outcome: str) -> None:
        if outcome:
            self._run.summary["outcome"] = outcome
        self._run.finish()


def track(series: Series) -> _Run:
    """Begins or continues the run of a series."""
    return _Run(series)


def _id(series: Series) -> str:
    """An id that a series keeps with its run directory, even if that is moved."""
    path = series.directory / "key"
    key = files.read_bytes(path)
    if not key:
        key = secrets.token_hex(16).encode()
        files.write_atomically(path, key)
    return hashlib.sha256(key + series.name.encode()).hexdigest()[:12]
