"""What became of training, as far as it is the same for every family."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def diverged_at(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The first evaluated step of one run with a loss that is no finite number."""
    for row in rows:
        loss = row["train_loss"]
        if loss is None or not math.isfinite(loss):
            return row["step"]
    return None


def by_run(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of several arms and seeds, by a name of each."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        runs.setdefault(f"{row['arm']}, seed {row['seed']}", []).append(row)
    return runs


def sentence(steps: Mapping[str, int | None]) -> str:
    """How many runs diverged, and the first of them.

    Args:
      steps: by the name of a run, where it diverged.
    """
    diverged = [
        f"{run}, at update {step}" for run, step in steps.items() if step is not None
    ]
    if not diverged:
        return f"Training: none of {len(steps)} runs diverged."
    more = f" and {len(diverged) - 1} more" if len(diverged) > 1 else ""
    return (
        f"Training: {len(diverged)} of {len(steps)} runs diverged "
        f"({diverged[0]}{more})."
    )
