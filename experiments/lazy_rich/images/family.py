"""Lazy classification of images as a family of runs."""

import math
from typing import Any

from experiments.harness.family import Rows
from experiments.harness.memory import Needs
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.families import lazy_family
from experiments.lazy_rich.families import summarize as summarize_any
from experiments.lazy_rich.images.config import SPEC, Config

ACCURACIES = (0.6, 0.75, 0.8)
"""Thresholds of the accuracy on a thousand test images; about 0.83 of Fashion-MNIST's
are learned."""
LEARNED = "0.75"
"""The threshold from which the network counts as having generalised."""
NUM_PIXELS = math.prod(SPEC.image_shape)


def num_params(config: Config) -> int:
    """Weights and biases."""
    inner = config.width * (NUM_PIXELS + config.width + 2)
    return inner + SPEC.num_classes * (config.width + 1)


def memory(config: Config) -> Needs:
    """The least memory: all images, a seed's, parameters now and at first, an update.

    Your own set of images may be smaller than Fashion-MNIST.
    """
    images = (config.num_train + config.num_test) * NUM_PIXELS
    units, params = NUM_PIXELS + config.width, num_params(config)
    update = params + config.batch_size * units
    evaluation = max(config.num_train, config.num_test) * units  # each set at once
    return Needs(
        shared=images,
        member=4 * 2 * params + images,
        step=4 * max(update, evaluation),
    )


def summarize(rows: Rows, config: Config) -> dict[str, Any]:
    """The summary of any classifier, and when it reached some test accuracies."""
    found = outcomes.steps_to_accuracy(rows, "test_accuracy", ACCURACIES)
    return summarize_any(rows, config) | {"steps_to_test_accuracy": found}


def in_words(rows: Rows, config: Config) -> str:
    """Whether a seed fitted and generalised, and when."""
    summary = summarize(rows, config)
    fitted = summary["first_step_train_accuracy_95"]
    generalised = summary["steps_to_test_accuracy"][LEARNED]
    start = outcomes.start_loss(rows, config.zero_loss, center=config.center)
    return outcomes.in_words(rows, fitted, generalised, start_loss=start)


def _title(config: Config) -> str:
    return (
        f"{config.num_train} images, weights times {config.init_scale:g}, "
        f"alpha = {config.alpha:g}, {config.optimizer}"
    )


def _problem() -> Any:
    from experiments.lazy_rich.images.problem import Classifier

    return Classifier


def _training() -> Any:
    from experiments.lazy_rich.images.problem import BatchTraining

    return BatchTraining


def _load(config: Config) -> Any:
    from experiments.lazy_rich.images.problem import load

    return load(config)


FAMILY = lazy_family(
    "images",
    Config,
    problem=_problem,
    title=_title,
    operations=lambda config: 6 * config.batch_size * num_params(config),
    memory=memory,
    training=_training,
    load=_load,
    data=("data_directory",),
    summarize=summarize,
    in_words=in_words,
)
