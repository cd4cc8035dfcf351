"""The options that every run has, whatever it computes."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from experiments.harness.checks import check, check_numbers, check_range
from experiments.harness.trackers import registry as trackers

_NUMBERS = "numbers"
MOST_SEEDS = 10_000
"""The most seeds of a config: Python also keeps an object for each."""


def per_member(default: Any, *numbers: str) -> Any:
    """A field in which the members of one compiled program may differ.

    Args:
      default: the field's default.
      *numbers: names of what the program reads in place of the field: the field itself
        or properties that follow from it. By default, the field.
    """
    return dataclasses.field(default=default, metadata={_NUMBERS: numbers})


def per_member_fields(config: Any) -> dict[str, tuple[str, ...]]:
    """Such fields of a config or its class, and the numbers read for each."""
    return {
        field.name: field.metadata[_NUMBERS] or (field.name,)
        for field in dataclasses.fields(config)
        if _NUMBERS in field.metadata
    }


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The part of a config that the harness reads; a family adds its own fields.

    A family may declare a field again with another default or meaning.
    """

    seed: int = 0
    """Seed of all that is random."""
    num_seeds: int = 1
    """Number of seeds: seed, seed + 1 and so on. One program trains the runs of all,
    divided among the devices."""
    eval_every: int = 50
    """Number of updates between two evaluations of the network."""
    checkpoint_seconds: float = 5.0
    """Two checkpoints are at least this many seconds apart."""
    run_directory: Path | None = None
    """Directory of the run; by default runs/<experiment>/<digest of the settings>."""
    log: tuple[trackers.Name, ...] = ()
    """Trackers that get the metrics while the run goes on: see docs/tracking.md."""

    def __post_init__(self) -> None:
        """Checks these fields.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_numbers(self, apart=("seed",))
        check_range("num_seeds", self.num_seeds, at_least=1, at_most=MOST_SEEDS)
        check_range("eval_every", self.eval_every, at_least=1)
        check_range("seed", self.seed, at_least=0)
        check_range("checkpoint_seconds", self.checkpoint_seconds, at_least=0)
        check(
            "seed",
            self.seed,
            self.seed + self.num_seeds <= 2**32,
            "such that seed + num_seeds is at most 2**32",
        )


def settings(config: Any, ignored: Collection[str]) -> dict[str, Any]:
    """The fields that decide results, a family's own before those of every run.

    Directories are named after them, in this order.
    """
    common = {field.name for field in dataclasses.fields(RunConfig)}
    names = (field.name for field in dataclasses.fields(config))
    ordered = sorted(names, key=lambda name: name in common)
    return {name: getattr(config, name) for name in ordered if name not in ignored}


IGNORED = ("run_directory", "checkpoint_seconds", "log")
"""Fields that may differ between a run and its continuation: they change no result."""
