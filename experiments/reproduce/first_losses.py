"""The test losses of initial networks, which come before the first row of a run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness.arm_group import groups
from experiments.harness.family import Family
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs

KEY = "initial_test_loss"


def measure(family: Family[Any], preset: Preset) -> Mapping[str, Any]:
    """Evaluates each arm and seed once before its first update, for `Runs.extra`."""
    import jax

    from experiments.harness.members import init_members

    code: Any = family.code()  # an `ArrayCode`: lazy runs are pure functions
    found: dict[str, list[float]] = {}
    for group in groups(family, preset.arms, preset.seeds()):
        members = [
            dataclasses.replace(preset.arms[member["arm"]], seed=member["seed"])
            for member in group.members
        ]
        experiment, loaded = code.experiment(members[0]), code.load(members[0])
        start = init_members(experiment, members, *loaded)
        axes = (0, 0, 0, *(None for _ in loaded))
        evaluate = jax.jit(jax.vmap(experiment.evaluate, in_axes=axes))
        losses = evaluate(*start, *loaded)[1]["test_loss"]
        by_arm = np.asarray(losses, float).reshape(len(group.arms), -1)
        found |= dict(zip(group.arms, by_arm.tolist(), strict=True))
    return {KEY: found}


def initial(runs: Runs, arm: str) -> np.ndarray:
    """The test loss of the initial network, for each seed."""
    return np.asarray(runs.extra[KEY][arm])[: runs.num_seeds(arm)]


def rise(runs: Runs, arm: str) -> np.ndarray:
    """The highest test loss over that of the initial network, for each seed."""
    first = initial(runs, arm)
    return np.maximum(runs.highest(arm, metric="test_loss"), first) / first
