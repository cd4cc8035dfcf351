"""The array path: runs that are pure functions, as the members of one program.

What cannot be traced, such as an emulator, has no members and trains in its own way.
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
"""The numbers of `hyperparameters`, by attribute; shape () or, of several, (members,)
before their own."""


class Experiment(Protocol):
    """One config as pure functions of one member.

    `hyper` holds the numbers in which members may differ, `fixed` what a member keeps
    from its start to its end (such as its split), `shared` what all of them read.
    """

    @property
    def has_convolutions(self) -> bool:
        """Whether a step or an evaluation convolves: see `harness.backend`."""
        ...

    @property
    def compiler_options(self) -> Mapping[str, Any]:
        """Options that `jax.jit` compiles with."""
        ...

    def init(self, seed: jax.Array, hyper: Any, *shared: Any) -> tuple[Any, Any]:
        """The state of step 0, and what is fixed."""
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
    """What several runs start from; every leaf has the members' axis."""

    state: Any
    hyper: Any
    fixed: Any


def hyperparameters(config: Any) -> Hyperparameters:
    """What a step reads of a config's per-member fields: a named tuple of arrays."""
    names = [name for read in per_member_fields(config).values() for name in read]
    numbers = {name: np.asarray(getattr(config, name)) for name in names}
    return _named_tuple(tuple(numbers))(**numbers)


# Once for each, since the types of two pytrees of one structure must be one.
@functools.cache
def _named_tuple(names: tuple[str, ...]) -> Any:
    return collections.namedtuple("Hyperparameters", names)


def init_members(
    experiment: Experiment, configs: Sequence[Any], *shared: Any
) -> Members:
    """Initialises a run for each config, of its seed and its numbers."""
    hyper = sweep.stack([hyperparameters(config) for config in configs])
    seeds = jnp.asarray([config.seed for config in configs], jnp.uint32)
    # Compiled inside, not around: where members are a loop in Python, it would unroll.
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
) -> dict[str, float | None]:
    """Trains members to their last step.

    Args:
      run: an entered directory of an unfinished run.
      experiment: what a step is.
      members: where they begin; the buffers of the state may be donated.
      *shared: what all of them read.
      labels: what identifies each member, for its rows of metrics.
      num_steps: updates of the whole run.
      eval_every: updates between evaluations.
      start_step: the step of `members`.
      shown: names of metrics to show beside the progress.

    Returns:
      `Progress.totals()`: how long it took.
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
    )
    return totals


@dataclasses.dataclass(frozen=True)
class ArrayCode(Generic[ConfigT]):
    """The code of a family whose runs are pure functions: see `family.Code`."""

    experiment: Callable[[ConfigT], Experiment]
    """Makes a config's experiment; per-member fields come in as hyperparameters."""
    summarize: Callable[[Rows, ConfigT], dict[str, Any]]
    """What became of one seed, given its rows."""
    draw: Callable[[Rows, ConfigT, Path], None]
    """Writes the figure of a run."""
    load: Callable[[ConfigT], Sequence[Any]] = lambda _: ()
    """What all members read."""
    shown: Sequence[str] = ACCURACIES
    """Names of metrics to show beside the progress."""

    def train(
        self,
        run: RunDirectory,
        configs: Sequence[Any],
        labels: Sequence[Mapping[str, Any]],
        loaded: Sequence[Any],
    ) -> dict[str, float | None]:
        """Trains members, given a config for each."""
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
        )

    def step_seconds(
        self,
        configs: Mapping[str, ConfigT],
        *,
        num_rounds: int = 5,
        num_steps: int = 10,
    ) -> dict[str, float]:
        """Measures the time of one step of each config; all of them load alike."""
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
        """Some steps of one member, dispatched as the loop dispatches them."""
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
