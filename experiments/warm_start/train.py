"""Trains one arm: a batch of members, a run from flags to files, its summary."""

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.harness import loop, sweep
from experiments.harness.argument_errors import flag_of
from experiments.harness.command_line import UserError, warn
from experiments.harness.run_directory import RunDirectory, default_path
from experiments.harness.session import run_to_end
from experiments.warm_start import data
from experiments.warm_start.config import Config
from experiments.warm_start.experiment import Experiment, TrainState
from experiments.warm_start.optimizers import Hyperparameters, hyperparameters
from experiments.warm_start.task import Arrays, Split

LATE_EVALUATIONS = 3
# What may differ between a run and its continuation without changing a result.
IGNORED = ("run_directory", "checkpoint_seconds", "data_directory", "download")


class Members(NamedTuple):
    """What a batch of runs starts from; every leaf has the members' axis."""

    state: TrainState
    hyper: Hyperparameters
    split: Split


def load_arrays(config: Config) -> Arrays:
    """The data set of a config, on the device.

    Raises:
      UserError: its files are missing or damaged.
    """
    images = _loaded(config.dataset, config.data_directory, config.download)
    num_test = config.num_test
    for name, there, wanted in (
        ("num_train_examples", len(images.train.labels), config.num_train),
        ("num_test_examples", len(images.test.labels), num_test),
    ):
        if there < wanted:
            raise UserError(
                f"{config.dataset} has {there} examples here and {name} asks for "
                f"{wanted}: bring all of it, or ask for fewer ({flag_of(name)})"
            )
    return Arrays(
        train_images=jnp.asarray(images.train.images),
        train_labels=jnp.asarray(images.train.labels),
        test_images=jnp.asarray(images.test.images[:num_test]),
        test_labels=jnp.asarray(images.test.labels[:num_test]),
    )


@functools.lru_cache(maxsize=1)
def _loaded(dataset: str, directory: Path | None, download: bool) -> data.Images:
    # A study runs several batches on one data set.
    return data.load(dataset, directory, download=download)


def init_members(
    experiment: Experiment,
    seeds: Sequence[int],
    hypers: Sequence[Hyperparameters],
    arrays: Arrays,
) -> Members:
    """Initialises a batch of runs, one for each pair of seed and numbers."""
    hyper = sweep.stack(list(hypers))
    # Compiled inside, not around: where members are a loop in Python, it would unroll.
    jitted = jax.jit(experiment.init, compiler_options=experiment.compiler_options)
    init = sweep.batch(jitted, in_axes=(0, 0, None), has_convolutions=True)
    state, split = init(jnp.asarray(seeds), hyper, arrays)
    return Members(state, hyper, split)


def run_members(
    run: RunDirectory,
    experiment: Experiment,
    members: Members,
    arrays: Arrays,
    member_labels: Sequence[Mapping[str, Any]],
) -> tuple[TrainState, dict[str, float | None]]:
    """Trains a batch to its last step; returns the final states and the times."""
    chunk = loop.compile_chunk(
        experiment.step,
        experiment.evaluate,
        in_axes=(0, 0, 0, None),
        has_convolutions=True,
        compiler_options=experiment.compiler_options,
    )
    return run_to_end(
        run,
        chunk,
        *members,
        arrays,
        num_steps=experiment.config.num_steps,
        steps_per_chunk=experiment.config.eval_every,
        labels=member_labels,
        shown=("train_accuracy", "test_accuracy"),
    )


def train(config: Config) -> tuple[Path, list[dict[str, Any]]]:
    """Runs a config, or continues or only reports it, whatever its directory holds.

    Returns:
      The run's directory, and a summary for each seed.

    Raises:
      UserError: the data are missing or damaged, or the directory is another run's.
    """
    from experiments.warm_start import figures

    path = config.run_directory or default_path("warm_start", config, IGNORED)
    # Before a directory is made, which would be of no use without data.
    arrays = None if (path / "summary.json").exists() else load_arrays(config)
    with RunDirectory(
        path, config, ignored=IGNORED, checkpoint_seconds=config.checkpoint_seconds
    ) as run:
        if run.summary is None:
            arrays = arrays or load_arrays(config)
            experiment = Experiment(config)
            seeds = range(config.seed, config.seed + config.num_seeds)
            members = init_members(
                experiment, seeds, [hyperparameters(config)] * len(seeds), arrays
            )
            _, totals = run_members(
                run, experiment, members, arrays, [{"seed": seed} for seed in seeds]
            )
            rows = run.rows()
            run.finish(
                [{"seed": s, **summarize(rows, s, config), **totals} for s in seeds]
            )
        warn_of_divergence(run.rows())
        figures.draw_run(run.rows(), config, run.path / "warm_start.png")
        return run.path, run.summary


def warn_of_divergence(rows: Sequence[Mapping[str, Any]]) -> None:
    """Says for each seed when its loss was no longer a number."""
    first: dict[int, int] = {}
    for row in rows:
        loss = row["train_loss"]
        if loss is None or not math.isfinite(loss):
            first.setdefault(row["seed"], row["step"])
    for seed, step in first.items():
        warn(
            f"seed {seed} diverged: its training loss is not finite at step {step}; "
            "lower learning_rate or radius_multiplier"
        )


def summarize(
    rows: Sequence[Mapping[str, Any]], seed: int, config: Config
) -> dict[str, Any]:
    """Where a seed stood when the last data came, and where it ended."""
    own = [row for row in rows if row["seed"] == seed]
    before = [
        row["test_accuracy"]
        for row in own
        if row["step"] <= config.num_steps - config.phase_steps
    ]
    return {
        "test_accuracy_before_the_last_data": before[-1] if before else None,
        "final_train_accuracy": own[-1]["train_accuracy"],
        "final_test_accuracy": own[-1]["test_accuracy"],
        "median_late_test_accuracy": statistics.median(
            row["test_accuracy"] for row in own[-LATE_EVALUATIONS:]
        ),
        "num_rewarms": own[-1]["num_rewarms"],
    }
