"""Warm-starting as a family of runs."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.harness.family import Family
from experiments.harness.memory import Needs
from experiments.warm_start import outcomes
from experiments.warm_start.config import Config

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

EXAMPLE_SECONDS = {"cnn": 1.2e-4, "resnet18": 1.7e-2}
"""Of an update, for each example, on 2 cores; see `benchmarks/images/step.py`."""
PARAMETERS = {"cnn": 490_000, "resnet18": 11_170_000}
"""At the least: those of the smaller images."""
EXAMPLE_BYTES = {"cnn": 100_000, "resnet18": 200_000}
"""What an update keeps of each example, at the least."""
FORWARD_SHARE = 1 / 3
"""Of an update's time."""


def run_seconds(config: Config) -> float:
    """An estimate.

    An evaluation is a forward pass of the test set and of the fixed points.
    """
    evaluations = -(-config.num_steps // config.eval_every)
    examples = config.num_steps * config.batch_size + FORWARD_SHARE * (
        evaluations * (config.num_test + 1000)
    )
    return examples * EXAMPLE_SECONDS[config.model]


def memory(config: Config) -> Needs:
    """At the least; `tests/experiments/harness/test_memory.py` compares with XLA's."""
    spec = config.spec
    # On the host and on the device.
    images = 2 * (spec.num_train + spec.num_test) * math.prod(spec.image_shape)
    return Needs(
        shared=images,
        member=12 * PARAMETERS[config.model] + 8 * config.num_train,
        step=config.batch_size * EXAMPLE_BYTES[config.model],
        has_convolutions=True,
    )


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    before = entry["test_accuracy_before_the_last_data"]
    is_grown = before is not None and config.initial_fraction < 1
    grown = f"{before:.3f} before the last data, " if is_grown else ""
    return (
        f"test {grown}{entry['median_late_test_accuracy']:.3f} at the end (median of "
        f"the last evaluations), train {entry['final_train_accuracy']:.3f}, "
        f"{entry['num_rewarms']} re-warms"
    )


def _code() -> "ArrayCode[Config]":
    from experiments.harness.members import ArrayCode
    from experiments.warm_start.arrays import load_arrays
    from experiments.warm_start.experiment import Experiment
    from experiments.warm_start.figures import draw_run

    return ArrayCode(
        experiment=Experiment,
        summarize=outcomes.summarize,
        draw=draw_run,
        load=lambda config: (load_arrays(config),),
    )


FAMILY = Family(
    name="warm_start",
    config_class=Config,
    code=_code,
    data=("data_directory", "download"),
    group_name=lambda config: (
        f"{config.model}-{config.schedule}-{config.num_steps}-updates"
    ),
    run_seconds=run_seconds,
    cost=f"{1e3 * EXAMPLE_SECONDS['cnn']:.2f} ms for each image of an update of the "
    "CNN",
    describe=describe,
    in_words=outcomes.in_words,
    memory=memory,
)
