"""The image networks of warm-starting at the paper's size: ways to run a batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.figures import Figures, digits, milliseconds
from benchmarks.sweep import at_once, compiled, one_after_the_other
from experiments.harness.members import init_members
from experiments.harness.timing import seconds_in_turns
from experiments.warm_start.config import Config
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.optimizers import hyperparameters
from experiments.warm_start.task import Arrays


def _arrays(config: Config) -> Arrays:
    """Random images in the data's place: a step takes as long on them."""
    generator = np.random.default_rng(0)

    def some(num: int) -> tuple[jax.Array, jax.Array]:
        shape = (num, *config.spec.image_shape)
        images = generator.integers(256, size=shape, dtype=np.uint8)
        labels = generator.integers(config.spec.num_classes, size=num, dtype=np.int32)
        return jnp.asarray(images), jnp.asarray(labels)

    train, test = some(config.num_train), some(config.num_test)
    return Arrays(*train, *test)


def speed(small: bool) -> Figures:
    """Milliseconds of an update of one member, in a batch and one after the other."""
    num_steps = 2 if small else 50
    sizes: dict[str, Any] = (
        {"num_train_examples": 64, "num_test_examples": 16, "batch_size": 8}
        if small
        else {}
    )
    config = Config(initial_fraction=1.0, num_phases=1, **sizes)
    experiment, arrays = Experiment(config), _arrays(config)
    runs = {}
    for num in (1, 2) if small else (1, 10, 30):
        hypers = [hyperparameters(config)] * num
        members = init_members(experiment, range(num), hypers, arrays)
        for way in (at_once, one_after_the_other):
            run = compiled(experiment, members, way, num_steps, arrays)
            runs[f"members: {num}, {way.__name__}"] = num, run
    turns = {name: run for name, (_, run) in runs.items()}
    seconds_in_turns(turns, num_rounds=1)  # warms up
    times = seconds_in_turns(turns, num_rounds=3)
    found: Figures = {}
    for name, seconds in times.items():
        num, _ = runs[name]
        found[f"{name}, ms an update"] = milliseconds(seconds, num * num_steps)
    found["updates of a run at the paper's size"] = digits(Config().num_steps, 9)
    return found
