"""Outcomes of training that are the same for every family."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FAILURES = ("diverged", "collapsed")
"""Failures of a run that a reader has to know, in the words of the families."""


def diverged_at(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The first evaluated step of one run with a loss that is no finite number."""
    for row in rows:
        loss = row["train_loss"]
        if loss is None or not math.isfinite(loss):
            return row["step"]
    return None


def by_run(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of several arms and seeds, by a name for each run."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault(f"{row['arm']}, seed {row['seed']}", []).append(row)
    return runs


def in_words(rows: Sequence[Mapping[str, Any]], config: Any) -> str:
    """The outcome of one run, for a family that knows only its loss."""
    step = diverged_at(rows)
    return "finished" if step is None else f"diverged at update {step}"


def sentence(became: Mapping[str, str]) -> str:
    """A sentence that says how many runs diverged or collapsed, and the first of each.

    Args:
      became: the outcome of each run, such as "diverged at update 100", by its name.
    """
    parts = []
    for failure in FAILURES:
        pattern = re.compile(rf"{failure} (at update \d+)")
        found = {run: pattern.search(words) for run, words in became.items()}
        failed = [f"{run}, {match[1]}" for run, match in found.items() if match]
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            counted = f"{len(failed)} of {len(became)} runs"
            parts.append(f"{counted} {failure} ({failed[0]}{more})")
    none = f"none of {len(became)} runs {' or '.join(FAILURES)}"
    return f"Training: {'; '.join(parts) or none}."
