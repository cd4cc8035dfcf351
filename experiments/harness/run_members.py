"""The members of a run directory: each arm and seed, with its config and its metrics.

They are read without a lock, so also while the run goes on. Only whole lines of growing
metrics count.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness import files
from experiments.harness.run_files import METRICS, parse_metrics

_BLOCK = 1 << 16


class Member(NamedTuple):
    """The labels that identify one run of a directory."""

    arm: str
    """Name of its arm; empty if there are no arms."""
    seed: int | None
    """Its seed; None if the run does not record it."""

    @property
    def name(self) -> str:
        """The member in words, such as `projected, seed 3`."""
        parts = [self.arm] if self.arm else []
        return ", ".join(parts + [f"seed {self.seed}"] * (self.seed is not None))


def of_row(row: Mapping[str, Any]) -> Member:
    """The member of a row of metrics."""
    arm, seed = row.get("arm", ""), row.get("seed")
    return Member(str(arm), seed if type(seed) is int else None)


def of_config(config: Mapping[str, Any]) -> list[Member]:
    """The members that a directory was made for, from its config."""
    arms, seeds = config.get("arms"), config.get("seeds")
    if isinstance(arms, Mapping) and isinstance(seeds, list):
        return [of_row({"arm": arm, "seed": seed}) for arm in arms for seed in seeds]
    seed, num_seeds = config.get("seed"), config.get("num_seeds", 1)
    if type(seed) is not int or type(num_seeds) is not int:
        return [Member("", None)]
    return [Member("", seed + index) for index in range(num_seeds)]


def config_of(member: Member, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one member of a directory with this config."""
    for name in ("all_settings", "arms"):
        arms = config.get(name)
        if isinstance(arms, Mapping) and isinstance(arms.get(member.arm), Mapping):
            return dict(arms[member.arm])
    own = config.get("settings", config)
    return dict(own) if isinstance(own, Mapping) else {}


def outcome(summary: Any, member: Member) -> str:
    """The outcome of a member in a summary, in words; empty if it has none."""
    entries = summary if isinstance(summary, list) else [summary]
    own = [
        str(entry["outcome"])
        for entry in entries
        if isinstance(entry, Mapping)
        and entry.get("outcome")
        and entry.get("seed", member.seed) == member.seed
    ]
    return own[0] if own else ""


def last_rows(path: Path) -> dict[Member, dict[str, Any]]:
    """The last row of each member; empty if nothing is recorded yet.

    Raises:
      UserError: The metrics are out of reach, or their end is damaged.
    """
    metrics = path / METRICS
    if not files.is_file(metrics):
        return {}
    with files.in_reach(metrics), open(metrics, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        length = _BLOCK
        while True:
            start = max(0, size - length)
            file.seek(start)
            data = file.read(size - start)
            if start:  # the first line may be cut
                data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
            rows = parse_metrics(path, data)
            # A process may have been stopped within the last step.
            if not start or len(_steps(rows)) > 2:
                return {of_row(row): row for row in rows}
            length *= 4


def _steps(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(row.get("step")) for row in rows}
