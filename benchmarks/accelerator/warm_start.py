"""The image networks of warm-starting at the paper's size, run in several ways."""

import dataclasses
from typing import Any

from benchmarks.accelerator.figures import Figures, digits, milliseconds
from benchmarks.images.metrics import random_images
from benchmarks.sweep import at_once, compiled, one_after_the_other
from experiments.harness.members import init_members
from experiments.harness.timing import seconds_in_turns
from experiments.warm_start.config import Config
from experiments.warm_start.experiment import Experiment


def speed(small: bool) -> Figures:
    """Measures milliseconds of a member's update, in a batch and one by one."""
    num_steps = 2 if small else 50
    sizes: dict[str, Any] = (
        {"num_train_examples": 64, "num_test_examples": 16, "batch_size": 8}
        if small
        else {}
    )
    config = Config(initial_fraction=1.0, num_phases=1, **sizes)
    experiment, arrays = Experiment(config), random_images(config, config.num_train)
    runs = {}
    for num in (1, 2) if small else (1, 10, 30):
        configs = [dataclasses.replace(config, seed=seed) for seed in range(num)]
        members = init_members(experiment, configs, arrays)
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
