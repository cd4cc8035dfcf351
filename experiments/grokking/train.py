"""Trains one arm: a batch of members, a run from flags to files, its summary."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.grokking.config import Config, before
from experiments.grokking.experiment import Experiment, TrainState
from experiments.grokking.optimizers import Hyperparameters, hyperparameters
from experiments.grokking.outcomes import first_generalised
from experiments.grokking.task import Split
from experiments.harness import loop, sweep
from experiments.harness.run_directory import RunDirectory, default_path
from experiments.harness.session import run_to_end

LATE_EVALUATIONS = 10
# What may differ between a run and its continuation without changing a result.
IGNORED = ("run_directory", "checkpoint_seconds")


class Members(NamedTuple):
    """What a batch of runs starts from; every leaf has the members' axis."""

    state: TrainState
    hyper: Hyperparameters
    split: Split


def init_members(
    experiment: Experiment, seeds: Sequence[int], hypers: Sequence[Hyperparameters]
) -> Members:
    """Initialises a batch of runs, one for each pair of seed and numbers."""
    hyper = sweep.stack(list(hypers))
    init = jax.jit(sweep.batch(experiment.init))
    state, split = init(jnp.asarray(seeds), hyper)
    return Members(state, hyper, split)


def run_members(
    run: RunDirectory,
    experiment: Experiment,
    members: Members,
    member_labels: Sequence[Mapping[str, Any]],
    *,
    num_steps: int,
    start_step: int = 0,
) -> tuple[TrainState, dict[str, float | None]]:
    """Trains a batch to its last step; returns the final states and the times."""
    chunk = loop.compile_chunk(experiment.step, experiment.evaluate, in_axes=(0, 0, 0))
    return run_to_end(
        run,
        chunk,
        *members,
        num_steps=num_steps,
        steps_per_chunk=experiment.config.eval_every,
        labels=member_labels,
        start_step=start_step,
        shown=("train_accuracy", "test_accuracy"),
    )


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
            members = init_members(
                experiment, seeds, [hyperparameters(config)] * len(seeds)
            )
            _, totals = run_members(
                run,
                experiment,
                members,
                [{"seed": seed} for seed in seeds],
                num_steps=config.num_steps,
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
