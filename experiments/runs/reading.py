"""Reads the state of each run in a directory, without a lock and without changes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from experiments.harness import own_directory, run_members
from experiments.harness.messages import UserError
from experiments.harness.run_files import (
    ABOUT,
    CONFIG,
    LOCK,
    METRICS,
    is_filled,
    read_description,
    read_metrics,
    read_summary,
)

State = Literal["finished", "running", "elsewhere", "stopped", "damaged"]
_LABELS = ("step", "arm", "seed")


@dataclasses.dataclass(frozen=True)
class Run:
    """One member of a run directory."""

    path: Path
    state: State
    """State of the run; `elsewhere` if its lock names another machine."""
    experiment: str = ""
    """Name of the experiment; empty if the directory does not have it."""
    arm: str = ""
    seed: int | None = None
    update: int | None = None
    """The last recorded update."""
    num_updates: int | None = None
    """Number of updates of the whole run, if known."""
    outcome: str = ""
    """The outcome in words; for a damaged run the reason, for a running one the
    place."""
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The last value of each metric."""


def read(path: Path, *, check: bool = False) -> list[Run]:
    """The runs in a directory; one damaged run if it cannot be read.

    Args:
      path: A run directory, from `found_runs.find`.
      check: Whether to read all metrics of a finished run and compare their digest.
    """
    try:
        return _read(path, check)
    except (UserError, OSError) as error:
        # The words of the command that would continue it, without the advice.
        why = getattr(error, "strerror", None) or str(error)
        why = why.replace(f"{path}/", "").partition(": ")[0]
        return [Run(path, "damaged", outcome=why)]


def _read(path: Path, check: bool) -> list[Run]:
    description = read_description(path / CONFIG)
    if description is None:
        raise UserError(f"{CONFIG} is gone or damaged")
    summary = read_summary(path, is_filled)
    rows = run_members.last_rows(path)
    if summary is not None and not rows:
        raise UserError(f"{METRICS} is gone or damaged")
    if summary is not None and check:
        read_metrics(path)
    state, where = _state(path, summary)
    config, about = description["config"], description.get(ABOUT)
    about = about if isinstance(about, Mapping) else {}
    runs = []
    for member in rows or run_members.of_config(config):
        own = run_members.config_of(member, config)
        row = rows.get(member, {})
        num_updates = about.get("num_steps", own.get("num_steps"))
        runs.append(
            Run(
                path=path,
                state=state,
                experiment=str(about.get("experiment", "")),
                arm=member.arm,
                seed=member.seed,
                update=_integer(row.get("step", 0)),
                num_updates=_integer(num_updates),
                outcome=where or run_members.outcome(summary, member),
                config=own,
                metrics={k: row[k] for k in row if k not in _LABELS},
            )
        )
    return runs


def _state(path: Path, summary: Any) -> tuple[State, str]:
    """The state of a run, and the process that holds its lock, if any."""
    if summary is not None:
        return "finished", ""
    holder = own_directory.holder(path / LOCK)
    if holder is None:
        return "stopped", ""
    if holder.machine is None:
        return "running", f"process {holder.process}"
    return "elsewhere", f"process {holder.process} of {holder.machine}, if it lives"


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None
