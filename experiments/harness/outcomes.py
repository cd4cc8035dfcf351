"""What became of training, as far as it is the same for every family."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def diverged_at(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The first evaluated step of one run with a loss that is no finite number."""
    for row in rows:
        loss = row["train_loss"]
        if loss is None or not math.isfinite(loss):
            return row["step"]
    return None


def sentence_of_divergence(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many of several arms and seeds diverged, and the first of them."""
    runs: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["arm"], row["seed"]), []).append(row)
    steps = {run: diverged_at(own) for run, own in runs.items()}
    diverged = [
        f"{arm}, seed {seed}, at update {steps[arm, seed]}"
        for arm, seed in steps
        if steps[arm, seed] is not None
    ]
    if not diverged:
        return f"Training: none of {len(runs)} runs diverged."
    more = f" and {len(diverged) - 1} more" if len(diverged) > 1 else ""
    return (
        f"Training: {len(diverged)} of {len(runs)} runs diverged ({diverged[0]}{more})."
    )
