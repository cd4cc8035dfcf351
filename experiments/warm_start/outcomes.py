"""What became of a run."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.warm_start.config import Config

LATE_EVALUATIONS = 3


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """Where a seed stood when the last data came, and where it ended."""
    before = [
        row["test_accuracy"]
        for row in rows
        if row["step"] <= config.num_steps - config.phase_steps
    ]
    return {
        "test_accuracy_before_the_last_data": before[-1] if before else None,
        "final_train_accuracy": rows[-1]["train_accuracy"],
        "final_test_accuracy": rows[-1]["test_accuracy"],
        "median_late_test_accuracy": statistics.median(
            row["test_accuracy"] for row in rows[-LATE_EVALUATIONS:]
        ),
        "num_rewarms": rows[-1]["num_rewarms"],
    }
