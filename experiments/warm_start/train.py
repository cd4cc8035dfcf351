"""A run from flags to files, and its summary."""

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from experiments.harness.argument_errors import flag_of
from experiments.harness.command_line import UserError, warn
from experiments.harness.members import init_members, train_members
from experiments.harness.run_directory import RunDirectory, default_path
from experiments.warm_start import data
from experiments.warm_start.config import Config
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.optimizers import hyperparameters
from experiments.warm_start.task import Arrays

LATE_EVALUATIONS = 3
# What may differ between a run and its continuation without changing a result.
IGNORED = ("run_directory", "checkpoint_seconds", "data_directory", "download")


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
            hypers = [hyperparameters(config)] * len(seeds)
            totals = train_members(
                run,
                experiment,
                init_members(experiment, seeds, hypers, arrays),
                arrays,
                labels=[{"seed": seed} for seed in seeds],
                num_steps=config.num_steps,
                eval_every=config.eval_every,
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
