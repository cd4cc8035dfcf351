"""Several arms and seeds of one experiment as few batches, one for each program.

Arms that differ in numbers only share a compiled program and a run directory, which is
continued after an interruption like that of a single run.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from experiments.harness import files
from experiments.harness.command_line import UserError

if TYPE_CHECKING:
    from experiments.harness.run_directory import RunDirectory

CHECKPOINT_SECONDS = 60.0

ConfigT = TypeVar("ConfigT")


@dataclasses.dataclass(frozen=True)
class Batch:
    """Arms that one program runs; the config of their directory."""

    arms: Mapping[str, Mapping[str, Any]]
    """By name, the settings that differ from the defaults: so a field that is added
    later, with a default that changes nothing, does not part a run from its config."""
    seeds: tuple[int, ...]
    """Every arm is run with each."""
    all_settings: Mapping[str, Mapping[str, Any]]
    """By name, every setting, for the reader."""

    @property
    def digest(self) -> str:
        """Of what decides the results."""
        text = files.dump_json({"arms": self.arms, "seeds": self.seeds})
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def members(self) -> list[dict[str, Any]]:
        """The labels of each run: `arm` and `seed`."""
        return [{"arm": arm, "seed": seed} for arm in self.arms for seed in self.seeds]


@dataclasses.dataclass(frozen=True)
class Study(Generic[ConfigT]):
    """How the arms of one experiment are run."""

    config_class: Callable[..., ConfigT]
    """A dataclass."""
    batched: Sequence[str]
    """The fields in which members of one batch may differ."""
    unused: Sequence[str]
    """Fields that the batch or its directory says instead."""
    name: Callable[[ConfigT], str]
    """Some words for the directory of a batch."""
    num_steps: Callable[[ConfigT], int]
    """Updates of an arm."""
    train: Callable[["RunDirectory", Sequence[ConfigT], Batch, Any], Any]
    """Runs a batch to its end, given its configs (one for each arm) and what was
    loaded, and returns the summary."""
    load: Callable[[ConfigT], Any] = lambda _: None
    """Reads what a batch needs, such as data, before its directory is made."""
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What held in runs that were made before a field existed, where that is not the
    field's default now."""

    def batches(self, arms: Mapping[str, ConfigT], seeds: Sequence[int]) -> list[Batch]:
        """Sorts arms by the program they need, in the order of their first arms."""
        groups: dict[tuple[Any, ...], dict[str, ConfigT]] = {}
        for arm, config in arms.items():
            shape = tuple(
                value
                for field, value in self._settings(config).items()
                if field not in self.batched
            )
            groups.setdefault(shape, {})[arm] = config
        return [
            Batch(
                arms={arm: self._changed(config) for arm, config in own.items()},
                seeds=tuple(seeds),
                all_settings={a: self._settings(config) for a, config in own.items()},
            )
            for own in groups.values()
        ]

    def run(
        self, arms: Mapping[str, ConfigT], seeds: Sequence[int], directory: Path
    ) -> None:
        """Trains every arm with every seed, or what of it is left to do."""
        todo = self.batches(arms, seeds)
        for number, batch in enumerate(todo, start=1):
            if self._is_finished(batch, directory):
                continue
            configs = [arms[arm] for arm in batch.arms]
            loaded = self.load(configs[0])
            with self._open(batch, directory) as part:
                print(
                    f"part {number} of {len(todo)}: {len(batch.arms)} arms x "
                    f"{len(batch.seeds)} seeds, {self.num_steps(configs[0])} updates "
                    "each",
                    file=sys.stderr,
                )
                if part.summary is None:  # another process may have been quicker
                    part.finish(self.train(part, configs, batch, loaded))

    def rows(
        self, arms: Mapping[str, ConfigT], seeds: Sequence[int], directory: Path
    ) -> Iterator[dict[str, Any]]:
        """The metrics of finished runs, one row for each evaluation, arm and seed.

        Raises:
          UserError: some are not finished.
        """
        for batch in self.batches(arms, seeds):
            path = self._path(batch, directory)
            if not self._is_finished(batch, directory):
                names = ", ".join(batch.arms)
                raise UserError(f"{path} ({names}) has not been run to its end")
            yield from files.read_json_lines(path / "metrics.jsonl")

    def _path(self, batch: Batch, directory: Path) -> Path:
        first = self.config_class(**next(iter(batch.arms.values())))
        return directory / f"{self.name(first)}-{batch.digest}"

    def _is_finished(self, batch: Batch, directory: Path) -> bool:
        path = self._path(batch, directory)
        self._refuse_other_defaults(batch, path)
        return (path / "summary.json").exists()

    def _refuse_other_defaults(self, batch: Batch, path: Path) -> None:
        """Settings that no arm sets are not in the name of the directory."""
        try:
            saved = json.loads((path / "config.json").read_bytes())
            there = dict(saved["config"]["all_settings"])
            known = {arm: {**self.before, **dict(there[arm])} for arm in batch.arms}
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing that could be compared; opening it says what is wrong
        here = files.to_json(batch.all_settings)
        differ = dict.fromkeys(
            f"{name} is {known[arm][name]} there and {now} here"
            for arm in here
            for name, now in here[arm].items()
            if known[arm].get(name, now) != now
        )
        if differ:
            listed = ", ".join(differ)
            raise UserError(
                f"{path} was run with other defaults: {listed}; name another directory"
            )

    def _open(self, batch: Batch, directory: Path) -> "RunDirectory":
        from experiments.harness.run_directory import RunDirectory

        return RunDirectory(
            self._path(batch, directory),
            batch,
            ignored=("all_settings",),
            checkpoint_seconds=CHECKPOINT_SECONDS,
        )

    def _settings(self, config: Any) -> dict[str, Any]:
        """All that an arm runs with."""
        return {
            field.name: getattr(config, field.name)
            for field in dataclasses.fields(config)
            if field.name not in self.unused
        }

    def _changed(self, config: Any) -> dict[str, Any]:
        """What an arm sets itself."""
        defaults = {field.name: field.default for field in dataclasses.fields(config)}
        return {
            name: value
            for name, value in self._settings(config).items()
            if value != defaults[name]
        }
