"""A run from flags to files, and its summary."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.grokking.config import Config, before
from experiments.grokking.experiment import Experiment
from experiments.grokking.optimizers import hyperparameters
from experiments.grokking.outcomes import first_generalised
from experiments.harness.members import init_members, train_members
from experiments.harness.run_directory import RunDirectory, default_path

LATE_EVALUATIONS = 10
# What may differ between a run and its continuation without changing a result.
IGNORED = ("run_directory", "checkpoint_seconds")


def train(config: Config) -> tuple[Path, list[dict[str, Any]]]:
    """Runs a config, or continues or only reports it, whatever its directory holds.

    Returns:
      The run's directory, and a summary for each seed.
    """
    from experiments.grokking import figures

    path = config.run_directory or default_path("grokking", config, IGNORED)
    with RunDirectory(
        path,
        config,
        ignored=IGNORED,
        before=before(),
        checkpoint_seconds=config.checkpoint_seconds,
    ) as run:
        if run.summary is None:
            experiment = Experiment(config)
            seeds = range(config.seed, config.seed + config.num_seeds)
            totals = train_members(
                run,
                experiment,
                init_members(experiment, seeds, [hyperparameters(config)] * len(seeds)),
                labels=[{"seed": seed} for seed in seeds],
                num_steps=config.num_steps,
                eval_every=config.eval_every,
            )
            rows = run.rows()
            run.finish([{"seed": s, **summarize(rows, s), **totals} for s in seeds])
        figures.draw_run(run.rows(), config, run.path / "grokking.png")
        return run.path, run.summary


def summarize(rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """When a seed generalised, and where it ended.

    Late networks dip now and then, so the end is judged by the median of the last
    evaluations as well.
    """
    own = [row for row in rows if row["seed"] == seed]
    late = [row["test_accuracy"] for row in own[-LATE_EVALUATIONS:]]
    return {
        "final_train_accuracy": own[-1]["train_accuracy"],
        "final_test_accuracy": own[-1]["test_accuracy"],
        "median_late_test_accuracy": statistics.median(late),
        "first_step_test_accuracy_99": first_generalised(own),
    }
