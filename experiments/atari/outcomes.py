"""What became of a run, in numbers and in a sentence."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.atari.config import Config
from experiments.atari.environments.games import BASELINE, human_normalized
from experiments.harness.messages import UserError
from experiments.harness.outcomes import diverged_at


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """The end of a seed; its return is raw."""
    last = rows[-1]
    score = last["mean_return_last_100_episodes"]
    summary = {
        "mean_return_last_100_episodes": score,
        "num_frames": last["frames"],
        "num_updates": last["updates"],
        "num_episodes": last["num_episodes"],
    }
    if "mean_return_evaluation" in last:
        summary["mean_return_evaluation"] = last["mean_return_evaluation"]
    if config.suite == "ale":
        summary["normalized_return"] = human_normalized(config.game, score)
        summary["normalized_by"] = BASELINE
    return summary


def must_be_finite(configs: Sequence[Config]) -> bool:
    """Whether the seeds of one setting run; of several, the others go on."""
    return len({dataclasses.replace(config, seed=0) for config in configs}) == 1


def require_finite(config: Config, metrics: Mapping[str, Any]) -> None:
    """Stops a run that has diverged, before its state takes the place of a good one.

    Args:
      config: of one seed.
      metrics: what is to be logged of it.

    Raises:
      UserError: the loss or a weight is not finite.
    """
    numbers = {"the loss": metrics["train_loss"], "a weight": metrics["weight_norm"]}
    for name, value in numbers.items():
        if not math.isfinite(value):
            now = int(metrics["frames"])
            between_lines = config.eval_every * config.round_frames
            before = (now - 1) // between_lines * between_lines
            raise UserError(
                f"seed {config.seed}: {name} is not finite between frames {before:,} "
                f"and {now:,}; the run stops and keeps the checkpoint before this: "
                "lower learning_rate, in another directory"
            )


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """The end of a seed, and its best return."""
    diverged = diverged_at(rows)
    if diverged is not None:
        (updates,) = (row["updates"] for row in rows if row["step"] == diverged)
        return f"diverged at update {updates}"
    best = max(rows, key=lambda row: row["mean_return_last_100_episodes"])
    return (
        f"mean return {rows[-1]['mean_return_last_100_episodes']:.2f} at the end, at "
        f"most {best['mean_return_last_100_episodes']:.2f} (frame {best['frames']:,})"
    )
