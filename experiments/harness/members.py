"""Runs of pure functions, as the members of one program.

Runs that cannot be traced, such as those with an emulator, have their own training.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import backend, loop, session, sweep, timing
from experiments.harness.config import per_member_fields
from experiments.harness.family import ConfigT, Rows
from experiments.harness.run_directory import RunDirectory

ACCURACIES = ("train_accuracy", "test_accuracy")
Hyperparameters: TypeAlias = Any
"""The numbers of `hyperparameters`, by attribute; several members add a first axis."""


class Experiment(Protocol):
    """One config as pure functions of one member.

    `hyper` holds the numbers in which members may differ, `fixed` the constants of one
    member (such as its split), and `shared` the inputs of all members.
    """

    @property
    def has_convolutions(self) -> bool:
        """Whether a step or an evaluation convolves: see `harness.backend`."""
        ...

    @property
    def compiler_options(self) -> Mapping[str, Any]:
        """Options of the compiler for `jax.jit`."""
        ...

    def init(self, seed: jax.Array, hyper: Any, *shared: Any) -> tuple[Any, Any]:
        """The state of step 0, and the constants of the member."""
        ...

    def step(self, state: Any, hyper: Any, fixed: Any, *shared: Any) -> Any:
        """The state after one update."""
        ...

    def evaluate(
        self, state: Any, hyper: Any, fixed: Any, *shared: Any
    ) -> tuple[Any, dict[str, jax.Array]]:
        """The state, and scalars that describe it."""
        ...


class Members(NamedTuple):
    """The initial values of several runs; every leaf has the members' axis."""

    state: Any
    hyper: Any
    fixed: Any


def hyperparameters(config: Any) -> Hyperparameters:
    """The numbers of per-member fields that a step reads, as a tuple of arrays."""
    names = [name for read in per_member_fields(config).values() for name in read]
    numbers = {name: np.asarray(getattr(config, name)) for name in names}
    return _named_tuple(tuple(numbers))(**numbers)


# Cached, because two pytrees of one structure must have the same type.
@functools.cache
def _named_tuple(names: tuple[str, ...]) -> Any:
    return collections.namedtuple("Hyperparameters", names)


def init_members(
    experiment: Experiment, configs: Sequence[Any], *shared: Any
) -> Members:
    """Initialises a run for each config, from its seed and its numbers."""
    hyper = sweep.stack([hyperparameters(config) for config in configs])
    seeds = jnp.asarray([config.seed for config in configs], jnp.uint32)
    # Compiled inside: around, it would unroll a loop over the members in Python.
    init_all = sweep.over_members(
        jax.jit(experiment.init, compiler_options=dict(experiment.compiler_options)),
        in_axes=(0, 0, *(None for _ in shared)),
        has_convolutions=experiment.has_convolutions,
    )
    state, fixed = init_all(seeds, hyper, *shared)
    return Members(state, hyper, fixed)


def train_members(
    run: RunDirectory,
    experiment: Experiment,
    members: Members,
    *shared: Any,
    labels: Sequence[Mapping[str, Any]],
    num_steps: int,
    eval_every: int,
    start_step: int = 0,
    shown: Sequence[str] = ACCURACIES,
    accept: Callable[[Mapping[str, Any]], None] | None = None,
) -> dict[str, float | None]:
    """Trains members to their last step.

    Args:
      run: the entered directory of an unfinished run.
      experiment: the functions of a member.
      members: the initial values; the buffers of the state may be donated.
      *shared: the inputs of all members.
      labels: labels that identify each member in its rows of metrics.
      num_steps: updates of the whole run.
      eval_every: updates between evaluations.
      start_step: the step of `members`.
      shown: names of metrics to show beside the progress.
      accept: see `session.run_to_end`.

    Returns:
      The rate and the time of the run, `Progress.totals()`.
    """
    chunk = loop.compile_chunk(
        experiment.step,
        experiment.evaluate,
        in_axes=(0, 0, 0, *(None for _ in shared)),
        has_convolutions=experiment.has_convolutions,
        compiler_options=experiment.compiler_options,
    )
    _, totals = session.run_to_end(
        run,
        chunk,
        *members,
        *shared,
        num_steps=num_steps,
        steps_per_chunk=eval_every,
        labels=labels,
        start_step=start_step,
        shown=shown,
        accept=accept,
    )
    return totals


@dataclasses.dataclass(frozen=True)
class ArrayCode(Generic[ConfigT]):
    """The code of a family whose runs are pure functions: see `family.Code`."""

    experiment: Callable[[ConfigT], Experiment]
    """Makes a config's experiment; per-member fields are its hyperparameters."""
    summarize: Callable[[Rows, ConfigT], dict[str, Any]]
    """Makes the summary of one seed from its rows."""
    draw: Callable[[Rows, ConfigT, Path], None]
    """Writes the figure of a run."""
    load: Callable[[ConfigT], Sequence[Any]] = lambda _: ()
    """Loads the inputs of all members."""
    shown: Sequence[str] = ACCURACIES
    """Names of metrics to show beside the progress."""

    def train(
        self,
        run: RunDirectory,
        configs: Sequence[Any],
        labels: Sequence[Mapping[str, Any]],
        loaded: Sequence[Any],
    ) -> dict[str, float | None]:
        """Trains members; each has a config."""
        experiment = self.experiment(configs[0])
        return train_members(
            run,
            experiment,
            init_members(experiment, configs, *loaded),
            *loaded,
            labels=labels,
            num_steps=configs[0].num_steps,
            eval_every=configs[0].eval_every,
            shown=self.shown,
            accept=self.acceptance(configs),
        )

    def acceptance(
        self, configs: Sequence[Any]
    ) -> Callable[[Mapping[str, Any]], None] | None:
        """What stops members, as of `session.run_to_end`; nothing does by default."""
        del configs
        return None

    def step_seconds(
        self,
        configs: Mapping[str, ConfigT],
        *,
        num_rounds: int = 5,
        num_steps: int = 10,
    ) -> dict[str, float]:
        """Measures the time of one step of each config; all have the same inputs."""
        loaded = self.load(next(iter(configs.values())))
        turns = {
            name: self._steps(config, loaded, num_steps)
            for name, config in configs.items()
        }
        for run in turns.values():
            run()  # compiles
        times = timing.fastest_in_turns(turns, num_rounds=num_rounds)
        return {name: seconds / num_steps for name, seconds in times.items()}

    def _steps(
        self, config: ConfigT, loaded: Sequence[Any], num_steps: int
    ) -> Callable[[], Any]:
        """A function that runs some steps of one member, dispatched as in the loop."""
        experiment = self.experiment(config)
        one = init_members(experiment, [config], *loaded)
        state, *inputs = sweep.unstack(one)[0]
        inputs += loaded
        options = dict(experiment.compiler_options)
        if backend.loops_in_program(has_convolutions=experiment.has_convolutions):
            scanned = jax.jit(
                lambda state, *inputs: jax.lax.scan(
                    lambda carry, _: (experiment.step(carry, *inputs), None),
                    state,
                    length=num_steps,
                )[0],
                compiler_options=options,
            )
            return lambda: scanned(state, *inputs)
        step = jax.jit(experiment.step, compiler_options=options)

        def run() -> Any:
            after = state
            for _ in range(num_steps):
                after = step(after, *inputs)
            return after

        return run
