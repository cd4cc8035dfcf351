"""The outcome of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.harness.outcomes import diverged_at
from experiments.warm_start.config import Config

CHANCE = 1.5
"""Factor of the share of one class, up to which an accuracy may be chance."""


def in_words(rows: Sequence[Mapping[str, Any]], config: Config) -> str:
    """The outcome in words: whether a run learned and kept that."""
    diverged = diverged_at(rows)
    if diverged is not None:
        return f"diverged at update {diverged}"
    chance = CHANCE / config.spec.num_classes
    highest = max(rows, key=lambda row: row["train_accuracy"])
    if highest["train_accuracy"] <= chance:
        return "has not learned (train accuracy at chance)"
    if rows[-1]["train_accuracy"] <= chance:
        kept = max(i for i, row in enumerate(rows) if row["train_accuracy"] > chance)
        lost = rows[kept + 1]["step"]
        return (
            f"learned (train accuracy {highest['train_accuracy']:.2f} at update "
            f"{highest['step']}), collapsed at update {lost} (to chance)"
        )
    return "learned"


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """The summary of a seed: its state when the last data arrived, and its end."""
    before = [
        row["test_accuracy"]
        for row in rows
        if row["step"] <= config.num_steps - config.phase_steps
    ]
    return {
        "test_accuracy_before_the_last_data": before[-1] if before else None,
        "final_train_accuracy": rows[-1]["train_accuracy"],
        "final_test_accuracy": rows[-1]["test_accuracy"],
        "num_rewarms": rows[-1]["num_rewarms"],
    }
