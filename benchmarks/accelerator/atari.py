"""Deep RL: updates on Atari's observations, and MinAtar with many games at once."""

from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.accelerator.figures import Figures, digits, milliseconds
from benchmarks.sweep import at_once, compiled
from experiments.atari.agent import Agent
from experiments.atari.config import Agent as AgentName
from experiments.atari.config import Config
from experiments.atari.experiment import Experiment
from experiments.atari.learner import Learner, LearnerState
from experiments.atari.replay.host import Replay
from experiments.atari.replay.rows import Batch, Layout, Step
from experiments.harness.members import (
    Hyperparameters,
    hyperparameters,
    init_members,
)
from experiments.harness.timing import seconds_in_turns

SCREEN = (84, 84)
STACK = 4
NUM_ACTIONS = 18
"""All actions of the console."""


def updates(agent: AgentName, small: bool) -> Figures:
    """Milliseconds of an agent's update at the paper's size, by batch."""
    num_steps = 2 if small else 200
    runs = {
        f"batches of {size}": _updates(agent, size, num_steps)
        for size in ((2,) if small else (32, 512))
    }
    seconds_in_turns(runs, num_rounds=1)  # warms up
    times = seconds_in_turns(runs, num_rounds=5)
    return {
        f"{name}, ms an update": milliseconds(seconds, num_steps)
        for name, seconds in times.items()
    }


def replay(small: bool) -> Figures:
    """Milliseconds until a batch of 32 is on the device, by where its frames lie."""
    layout = Layout(length=1_000 if small else 100_000, stack=STACK)
    rings = {name: Replay(layout, SCREEN) for name in ("host", "device")}
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (layout.length, 1, *SCREEN), dtype=np.uint8)
    for own in rings.values():
        for new in frames:
            own.append(
                Step(
                    frames=new,
                    actions=np.zeros(1, np.int32),
                    rewards=np.zeros(1, np.float32),
                    is_terminal=np.zeros(1, bool),
                    is_last=np.zeros(1, bool),
                    is_first=np.zeros(1, bool),
                )
            )
    rings["device"].copy_to_device()
    num_draws = 2 if small else 200

    def drawing(own: Replay) -> Callable[[], None]:
        generator = np.random.default_rng(0)

        def run() -> None:
            for _ in range(num_draws):
                jax.block_until_ready(jax.device_put(own.sample(generator, 32).frames))

        return run

    runs = {f"frames on the {name}": drawing(own) for name, own in rings.items()}
    seconds_in_turns(runs, num_rounds=1)  # warms up
    times = seconds_in_turns(runs, num_rounds=5)
    return {
        f"{name}, ms a batch": milliseconds(seconds, num_draws)
        for name, seconds in times.items()
    }


def minatar(small: bool) -> Figures:
    """Steps of the agent in a second, with one game and with many at once."""
    num_rounds = 4 if small else 200
    found: Figures = {}
    for num_envs in (1, 2) if small else (1, 1024):
        config = Config(
            num_envs=num_envs,
            agent_steps_per_update=4 if num_envs == 1 else num_envs,
            batch_size=32 if num_envs == 1 else 8 * num_envs,
            replay_steps=100 * num_envs if small else 256 * num_envs,
            learning_starts_frames=0,
        )
        experiment = Experiment(config)
        members = init_members(experiment, [config])
        run = {"": compiled(experiment, members, at_once, num_rounds)}
        seconds_in_turns(run, num_rounds=1)  # warms up
        times = median(seconds_in_turns(run, num_rounds=3)[""])
        name = f"games: {num_envs}"
        found[f"{name}, transitions in an update"] = config.batch_size
        found[f"{name}, steps of the agent/s"] = digits(
            num_rounds * config.round_steps / times
        )
        found[f"{name}, updates/s"] = digits(num_rounds * config.round_updates / times)
    return found


def _updates(name: AgentName, batch_size: int, num_steps: int) -> Callable[[], Any]:
    """So many updates on one batch, in a program that reads it each time."""
    config = Config(
        suite="ale", agent=name, batch_size=batch_size, num_frames=200_000_000
    )
    agent = Agent(config, (*SCREEN, STACK), NUM_ACTIONS, stack=STACK)
    # As in runs, which renew the target network and measure apart from most updates.
    learner = Learner(config, agent, renews_target=False)
    batch = _batch(config)

    @jax.jit
    def run(state: LearnerState, hyper: Hyperparameters, batch: Batch) -> LearnerState:
        def update(index: jax.Array, state: LearnerState) -> LearnerState:
            key = jax.random.fold_in(jax.random.key(0), index)
            size = jnp.int32(config.sizes.replay_steps)
            return learner.update(state, hyper, batch, size, key, measures=False)[0]

        return lax.fori_loop(0, num_steps, update, state)

    hyper = hyperparameters(config)
    state = learner.init(jax.random.key(0), hyper)
    return lambda: jax.block_until_ready(run(state, hyper, batch))


def _batch(config: Config) -> Batch:
    """Random transitions, none of which ends an episode."""
    rng = np.random.default_rng(0)
    size, num_steps = config.batch_size, config.switches.n_step
    return Batch(
        frames=rng.integers(0, 256, (size, STACK + num_steps, *SCREEN), dtype=np.uint8),
        ages=np.full((size, 2), STACK - 1, np.uint8),
        num_steps=np.full(size, num_steps, np.int32),
        actions=rng.integers(0, NUM_ACTIONS, size, dtype=np.int32),
        rewards=rng.choice(3, (size, num_steps)).astype(np.float32) - 1,
        discounts=np.full((size, num_steps), config.discount, np.float32),
        is_valid=np.ones(size, bool),
        rows=np.arange(size),
        probabilities=np.full(size, 1 / config.sizes.replay_steps, np.float32),
    )
