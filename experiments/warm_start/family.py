"""Warm-starting as a family of runs."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.harness.family import Family, require_machine
from experiments.harness.memory import Needs
from experiments.harness.messages import UserError, counted
from experiments.warm_start import outcomes
from experiments.warm_start.config import Config, FolderConfig
from experiments.warm_start.data import FoundSpec

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode

EXAMPLE_SECONDS = {"cnn": 1.2e-4, "resnet18": 1.7e-2}
"""Time of an update for each example of up to 32 x 32 pixels, on 2 cores; see
`benchmarks/images/step.py`."""
DOWNSAMPLING_TIMES = {"strides": 1, "max_pool": 4}
"""Time of an update of the CNN, over that with strides, on one core; see
`benchmarks/images/downsampling.py`."""
PIXEL_BYTES = {"cnn": 127, "resnet18": 255}
"""Least bytes that an update keeps for each pixel of each example."""
FORWARD_SHARE = 1 / 3
"""Time of a forward pass, as a share of an update's."""


def run_seconds(config: Config) -> float:
    """Estimates the time of one seed.

    An evaluation is a forward pass of the test set and of the fixed points.
    """
    evaluations = -(-config.num_steps // config.eval_every)
    examples = config.num_steps * config.batch_size + FORWARD_SHARE * (
        evaluations * (config.num_test + 1000)
    )
    height, width, _ = config.spec.image_shape
    size = max(1.0, height * width / 32**2)
    times = DOWNSAMPLING_TIMES[config.downsampling]
    return examples * EXAMPLE_SECONDS[config.model] * times * size


def num_parameters(config: Config) -> int:
    """The least number of parameters."""
    height, width, _ = config.spec.image_shape
    if config.model == "resnet18":
        return 11_160_000 + 512 * config.spec.num_classes
    positions = math.ceil(height / 4) * math.ceil(width / 4)
    return 19_000 + (32 * positions + config.spec.num_classes) * 300


def memory(config: Config) -> Needs:
    """The least memory; `tests/experiments/harness/test_memory.py` compares it."""
    spec = config.spec
    height, width, _ = spec.image_shape
    images = (spec.num_train + spec.num_test) * math.prod(spec.image_shape)
    return Needs(
        shared=images,
        host_shared=images,
        member=12 * num_parameters(config) + 8 * config.num_train,
        step=config.batch_size * height * width * PIXEL_BYTES[config.model],
        has_convolutions=True,
    )


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    before = entry["test_accuracy_before_the_last_data"]
    is_grown = before is not None and config.initial_fraction < 1
    grown = f"{before:.3f} before the last data, " if is_grown else ""
    return (
        f"test {grown}{entry['final_test_accuracy']:.3f} at the end, train "
        f"{entry['final_train_accuracy']:.3f}, "
        f"{counted(entry['num_rewarms'], 're-warm')}"
    )


def resolve(config: Config) -> Config:
    """Adds the facts about the images of a folder, and decodes new images.

    Raises:
      UserError: the images cannot be read, differ in size, do not fit into memory, or
        are too few for the config.
    """
    if config.data_directory is None or config.is_resolved:
        return config
    from experiments.warm_start.data import own_images

    listing = own_images.look(config.data_directory)
    found = own_images.kept(listing)
    if found is None:
        surveyed = own_images.survey(listing)
        # Decoding takes as much memory as the data of the run.
        require_machine(FAMILY, _with_images(config, surveyed), config.num_seeds)
        found = own_images.decode(listing, surveyed)
    return _with_images(config, found)


def _with_images(config: Config, found: FoundSpec) -> FolderConfig:
    try:
        return FolderConfig.of(config, found)
    except ValueError as error:
        raise UserError(str(error)) from None


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
    resolve=resolve,
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
