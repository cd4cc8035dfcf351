"""A family of runs: the description of an experiment that the harness needs.

This module runs one config from the command line to its files; `harness.arm_groups`
runs several arms. It does not import jax, so that `--help` stays quick.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from experiments.harness import disk, files, memory, outcomes
from experiments.harness.command_line import FULL, parse
from experiments.harness.config import IGNORED, RunConfig
from experiments.harness.memory import Needs
from experiments.harness.messages import UserError, printable, warn
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_files import ARRAYS, METRICS, default_path, is_finished
from experiments.harness.trackers import registry
from experiments.harness.trackers.following import catch_up, following

ConfigT = TypeVar("ConfigT", bound=RunConfig)
Rows = Sequence[dict[str, Any]]
"""Rows of `metrics.jsonl`, one for each evaluation and seed."""


class Code(Protocol):
    """The computations of a family; `harness.members.ArrayCode` if they are pure."""

    def load(self, config: Any) -> Any:
        """Reads the inputs of runs, such as data, before their directory is made."""
        ...

    def train(
        self,
        run: RunDirectory,
        configs: Sequence[Any],
        labels: Sequence[Mapping[str, Any]],
        loaded: Any,
    ) -> Mapping[str, Any]:
        """Trains members to their last step and returns how long it took.

        Args:
          run: the entered directory of an unfinished run.
          configs: one config for each member, with its seed; they differ only in
            `per_member` fields.
          labels: labels that identify each member in its rows of metrics.
          loaded: the result of `load`.
        """
        ...

    def step_seconds(
        self, configs: Mapping[str, Any], *, num_rounds: int = 5, num_steps: int = 10
    ) -> dict[str, float]:
        """Measures the time of one step of each config, in turns."""
        ...

    def summarize(self, rows: Rows, config: Any) -> dict[str, Any]:
        """The summary of one seed, in numbers, from its rows.

        An `outcome` in it replaces the family's, if it knows more than the rows.
        """
        ...

    def draw(self, rows: Rows, config: Any, path: Path) -> None:
        """Writes the figure of a run."""
        ...


@dataclasses.dataclass(frozen=True)
class Family(Generic[ConfigT]):
    """The description of one experiment, from which the harness makes its runs."""

    name: str
    """Name of its command, its run directories and the figure of a run."""
    config_class: type[ConfigT]
    """Class of its configs, with `num_steps` as a field or a property."""
    code: Callable[[], Code]
    """Imports all that a run needs, such as jax, and returns the code."""
    group_name: Callable[[ConfigT], str]
    """Makes the first words of the name of a group's directory."""
    run_seconds: Callable[[ConfigT], float]
    """Estimates the time of one seed on two cores."""
    cost: str
    """Basis of that estimate, in words."""
    describe: Callable[[Mapping[str, Any], ConfigT], str]
    """Puts a seed's summary into words."""
    in_words: Callable[[Rows, ConfigT], str] = outcomes.in_words
    """Makes the `outcome` of one seed from its rows. If training failed, it says
    "diverged at update N" or "collapsed at update N"; figures count these words."""
    prepare: Callable[[], None] = lambda: None
    """Sets what runs of this family must set before the first use of a device. It may
    have no effect in a process that has run another family."""
    memory: Callable[[ConfigT], Needs] = lambda _: Needs()
    """Least memory of one seed; nothing if that is not known."""
    disk: Callable[[ConfigT], int] = lambda _: 0
    """Bytes of one seed on disk beside its checkpoints (`RunDirectory.array`)."""
    cautions: Callable[[ConfigT], Iterable[str]] = lambda _: ()
    """Warnings for a user before a run of these settings."""
    rate: str = "learning_rate"
    """Field that a user should lower if training diverges."""
    data: Collection[str] = ()
    """Fields that say where data are and change no result."""
    resolve: Callable[[ConfigT], ConfigT] = lambda config: config
    """Adds what only the data tell, such as the number of examples; may raise
    `UserError`."""
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Values of fields in runs from before the fields existed, if they differ from
    today's defaults."""
    package: str | None = None
    """Package of several families, with their names as sub-commands; by default
    `experiments.<name>`, without sub-commands."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that may differ between a run and its continuation."""
        return (*IGNORED, *self.data)

    def about(self, config: Any) -> dict[str, Any]:
        """Facts that a run directory keeps beside its config."""
        return {"experiment": self.name, "num_steps": config.num_steps}

    @property
    def prog(self) -> str:
        """The command as a user types it."""
        words = (self.package, self.name) if self.package else (self.name,)
        return " ".join(["python -m", f"experiments.{words[0]}", *words[1:]])

    @property
    def directory(self) -> str:
        """Default directory of its runs, under `runs`."""
        return f"{self.package}/{self.name}" if self.package else self.name


def main(family: Family[Any], argv: Sequence[str] | None = None) -> tuple[Any, Path]:
    """Parses a config, runs it and prints a line for each seed.

    Args:
      family: the family of the config.
      argv: the arguments of the command; by default those of this process.

    Returns:
      The config, and the directory of its run.
    """
    config = family.resolve(parse(family.config_class, argv, prog=family.prog))
    path, summary = run(family, config)
    for entry in summary:
        print(printable(f"seed {entry['seed']}: {_described(family, entry, config)}"))
    print(path / f"{family.name}.png")
    return config, path


def _described(family: Family[Any], entry: Mapping[str, Any], config: Any) -> str:
    """A seed's summary in words, or that another program wrote it."""
    # Older runs have no outcome.
    became = f"{entry['outcome']}; " if "outcome" in entry else ""
    try:
        return f"{became}{family.describe(files.restore_floats(entry), config)}"
    except (LookupError, TypeError, ValueError):
        return f"{became}its summary was not written by this program"


def run(family: Family[ConfigT], config: ConfigT) -> tuple[Path, list[dict[str, Any]]]:
    """Runs a config: starts it, continues it or, if it is finished, reports it.

    Args:
      family: the family of the config.
      config: a config after `Family.resolve`.

    Returns:
      The run's directory, and a summary for each seed.

    Raises:
      UserError: its data or devices are missing, or the directory is another run's.
    """
    registry.require(config.log)
    code = family.code()
    path = config.run_directory or default_path(
        family.directory, config, family.ignored
    )
    # Before the directory is made, which is useless without data.
    seeds = range(config.seed, config.seed + config.num_seeds)
    fits = functools.partial(_is_of, seeds)
    loaded = None
    if not is_finished(path, fits):
        require_machine(family, config, config.num_seeds, path)
        loaded = code.load(config)
        for caution in family.cautions(config):
            warn(caution)
    with RunDirectory(
        path,
        config,
        ignored=family.ignored,
        before=_defaults(family) | dict(family.before),
        about=family.about(config),
        followed_by=functools.partial(following, names=config.log),
        checkpoint_seconds=config.checkpoint_seconds,
        summary_fits=fits,
    ) as directory:
        if directory.summary is not None:
            catch_up(directory.path, config.log)
        if directory.summary is None:
            if loaded is None:  # because the summary could not be read
                loaded = code.load(config)
            totals = code.train(
                directory,
                [dataclasses.replace(config, seed=seed, num_seeds=1) for seed in seeds],
                [{"seed": seed} for seed in seeds],
                loaded,
            )
            rows = directory.rows()
            own_rows = {s: [row for row in rows if row["seed"] == s] for s in seeds}
            directory.finish(
                [
                    {
                        "seed": seed,
                        "outcome": family.in_words(own_rows[seed], config),
                        **code.summarize(own_rows[seed], config),
                        **totals,
                    }
                    for seed in seeds
                ]
            )
        rows = directory.rows()
        _check_rows(directory.path, rows, seeds, config)
        warn_of_divergence(rows, family.rate)
        figure = directory.path / f"{family.name}.png"
        with figure_may_fail(figure):
            code.draw(rows, config, figure)
        return directory.path, directory.summary


def _check_rows(path: Path, rows: Rows, seeds: Collection[int], config: Any) -> None:
    """Refuses metrics that are incomplete or not of this run."""
    steps: dict[Any, list[Any]] = {seed: [] for seed in seeds}
    names = set(rows[0]) if rows else set()
    for row in rows:
        own = steps.get(row.get("seed")) if _is_numbers(row) else None
        if own is None or set(row) != names:
            break
        own.append(row["step"])
    else:
        first = steps[min(seeds)]
        same = all(own == first for own in steps.values())
        if same and first == sorted(set(first)) and first[-1:] == [config.num_steps]:
            return
    raise UserError(
        f"{path / METRICS} is damaged (it is not what this run records): put back a "
        "copy of it, or name another directory"
    )


def _is_numbers(row: Mapping[str, Any]) -> bool:
    numbers = all(isinstance(value, int | float | None) for value in row.values())
    return numbers and type(row.get("step")) is int and type(row.get("seed")) is int


@contextlib.contextmanager
def figure_may_fail(path: Path) -> Iterator[None]:
    """Warns if a figure cannot be written; the results are complete without it."""
    try:
        yield
    except (OSError, UserError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        why = error.strerror if isinstance(error, OSError) else error
        warn(f"the figure {path} was not written: {why}")
    except KeyError as error:  # metrics that another program wrote
        warn(f"the figure {path} was not written: the metrics have no {error}")


def _is_of(seeds: Collection[int], summary: Any) -> bool:
    """Whether a summary has an entry for each seed."""
    entries = summary if isinstance(summary, list) else []
    found = [entry.get("seed") for entry in entries if isinstance(entry, dict)]
    return found == list(seeds)


def require_machine(
    family: Family[ConfigT],
    config: ConfigT,
    num_members: int,
    path: Path | None = None,
) -> None:
    """Raises `UserError` unless the devices exist and have room for all members.

    Args:
      family: the family of the config.
      config: the config of one member.
      num_members: number of members.
      path: path of the run directory, which may already have its files; None if there
        is no directory.
    """
    family.prepare()
    from experiments.harness import backend

    backend.require_platform()
    memory.require(family.memory(config), num_members)
    size = num_members * family.disk(config)
    if path is not None and size and not (path / ARRAYS).exists():
        disk.require(path, size)


def _defaults(family: Family[Any]) -> dict[str, Any]:
    fields = dataclasses.fields(family.config_class)
    return {field.name: field.default for field in fields}


def warn_of_divergence(rows: Rows, rate: str = "learning_rate") -> None:
    """Warns, for each seed that diverged, of the first step with a loss not finite."""
    for seed in dict.fromkeys(row["seed"] for row in rows):
        step = outcomes.diverged_at([row for row in rows if row["seed"] == seed])
        if step is not None:
            warn(
                f"seed {seed} diverged: its training loss is not finite at step {step}"
                f"; lower {rate}"
            )
