"""What became of a run, in numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.continual_pretraining.config import Config


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """Where a seed stood when the corpus changed, where it ended, and its re-warms."""
    before = [row for row in rows if row["step"] <= config.phase_steps]
    last = rows[-1]
    return {
        "old_loss_at_the_change": before[-1]["old_loss"] if before else None,
        "new_loss_at_the_change": before[-1]["new_loss"] if before else None,
        "final_old_loss": last["old_loss"],
        "final_new_loss": last["new_loss"],
        "num_rewarms": last["num_rewarms"],
        "last_rewarm_step": last["last_rewarm_step"],
    }
