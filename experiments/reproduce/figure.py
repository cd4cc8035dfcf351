"""What a figure is: arms at two scales, how they are run and drawn, what must hold."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from experiments.reproduce.claims import Claim
from experiments.reproduce.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SCALES = ("laptop", "paper")


class Runner(Protocol):
    """How an experiment runs arms; a module with these functions will do."""

    def cost(self, arms: Mapping[str, Any], num_seeds: int) -> tuple[int, float]:
        """Updates of all arms and seeds together, and an estimate of the seconds."""
        ...

    def run(
        self, arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
    ) -> None:
        """Runs every arm with every seed, or what of it is left to do."""
        ...

    def rows(
        self, arms: Mapping[str, Any], seeds: Sequence[int], directory: Path
    ) -> Iterator[dict[str, Any]]:
        """The metrics of finished runs: one row for each step, `arm` and `seed`."""
        ...


@dataclasses.dataclass(frozen=True)
class Preset:
    """A figure at one scale."""

    arms: Mapping[str, Any]
    """The config of each line, by a name that the claims and the drawing use."""
    num_seeds: int
    """Every arm is run with the seeds 0, 1, …"""
    claims: tuple[Claim, ...]
    """What must hold at this scale."""
    note: str = ""
    """What differs from the paper's figure, or is left out."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a paper, or a study of our own, that can be run.

    To add one, write a module in `figures/` with a `FIGURE`.
    """

    name: str
    """As on the command line: `lyle2025/fig3`."""
    title: str
    """What it claims, in a line."""
    runner: Runner
    """Runs the arms."""
    presets: Mapping[str, Preset]
    """By scale; every name in `SCALES`."""
    draw: Callable[[Runs, Preset], "Drawing"]
    """Draws the metrics, with the paper's numbers over them."""
    table: Callable[[Runs, Preset], str] | None = None
    """A Markdown table of results, if lines alone do not tell."""
    measure: Callable[[Preset], Mapping[str, Any]] | None = None
    """What to measure once beside the runs (such as times): `Runs.extra`."""
