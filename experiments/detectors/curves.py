"""Real streams: training losses of small grokking runs that change half-way."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.detectors.streams import Streams
from experiments.grokking.config import Config
from experiments.grokking.experiment import Experiment, TrainState
from experiments.grokking.task import Pairs, Split
from experiments.harness.members import Hyperparameters, hyperparameters

NETWORK = Config(
    modulus=59,
    train_fraction=0.4,
    normalize=True,
    scale_decay=1.0,
    num_heads=2,
    head_dim=16,
    mlp_dim=128,
    # Settings of the streams in docs/detectors.md.
    position_scale=1.0,
    adam_b2=0.999,
)


class Arm(NamedTuple):
    """A run in two halves."""

    formula: str
    config: Config
    share_before: int = 1  # before the change it trains on every n-th pair


def arms(num_updates: int) -> dict[str, Arm]:
    """The kinds of runs, by name."""
    half = num_updates // 2
    slow, fast = (_at(rate, num_updates) for rate in (1e-3, 1e-2))
    rewarm = dataclasses.replace(fast, delay_steps=half, low_learning_rate=1e-3)
    return {
        "grokking: new data": Arm("half of the pairs, then all, at 1e-3", slow, 2),
        "grokking: new data, 1e-2": Arm(
            "half of the pairs, then all, at 1e-2", fast, 2
        ),
        "grokking: re-warm": Arm("1e-3, then 1e-2 with warm-up", rewarm),
    }


def record(num_seeds: int, num_updates: int, seed: int) -> dict[str, Streams]:
    """Trains all runs and records the loss before each update."""
    half = num_updates // 2
    experiment = Experiment(_at(1e-3, num_updates))
    # The arms differ only in numbers, so they share compiled functions.
    init = jax.jit(experiment.init)

    @jax.jit
    def losses(state: TrainState, hyper: Hyperparameters, split: Split) -> Any:
        def step(state: TrainState, _: None) -> tuple[TrainState, jax.Array]:
            state = experiment.step(state, hyper, split)
            return state, state.train_loss

        return jax.lax.scan(step, state, length=half)

    def run(arm: Arm, seed: int) -> np.ndarray:
        hyper = hyperparameters(arm.config)
        state, split = init(np.uint32(seed), hyper)
        few = Pairs(*(numbers[:: arm.share_before] for numbers in split.train))
        state, before = losses(state, hyper, split._replace(train=few))
        _, after = losses(state, hyper, split)
        return np.concatenate([before, after])

    return {
        name: Streams(
            arm.formula,
            np.stack([run(arm, seed + member) for member in range(num_seeds)]),
            half,
        )
        for name, arm in arms(num_updates).items()
    }


def in_words(kinds: Mapping[str, Streams]) -> dict[str, str]:
    """The outcome of each run, by its name: whether it diverged or finished."""
    became = {}
    for name, kind in kinds.items():
        for member, losses in enumerate(kind.values):
            (where,) = np.nonzero(~np.isfinite(losses))
            became[f"{name}, run {member}"] = (
                f"diverged at update {where[0]}" if len(where) else "finished"
            )
    return became


def _at(rate: float, num_updates: int) -> Config:
    return dataclasses.replace(NETWORK, learning_rate=rate, num_steps=num_updates)
