"""Claims and their verdicts: one number for each seed, and a bound on the median."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.reproduce.runs import Runs


@dataclasses.dataclass(frozen=True)
class Claim:
    """Something that must hold, as a bound on the median over seeds."""

    says: str
    """The claim and what is measured, in words."""
    measure: Callable[[Runs], np.ndarray]
    """Gives one number for each seed; infinity if an event never happens."""
    at_least: float | None = None
    at_most: float | None = None
    paper: str = ""
    """The paper's result, read off its figure."""

    @property
    def expected(self) -> str:
        """The bound in words."""
        parts = [
            f"{words} {number(bound)}"
            for words, bound in (("at least", self.at_least), ("at most", self.at_most))
            if bound is not None
        ]
        return " and ".join(parts)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A judged claim."""

    says: str
    measured: tuple[float, ...]
    """One number for each seed."""
    expected: str
    holds: bool
    paper: str

    @property
    def result(self) -> str:
        """The verdict in words."""
        return "holds" if self.holds else "does not hold"

    @property
    def spread(self) -> str:
        """The median, the lowest and the highest seed."""
        return spread(self.measured)

    @property
    def line(self) -> str:
        """The claim in a line of the terminal."""
        paper = f"; the paper's figure: {self.paper}" if self.paper else ""
        return (
            f"{self.result:<15}{self.says}: {self.spread}, expected {self.expected}"
            f"{paper}"
        )


def judge(claim: Claim, runs: Runs) -> Verdict:
    """Measures a claim. It never holds for NaN, such as a ratio of two infinities."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(claim.measure(runs), float)
        middle = float(np.median(values))  # NaN between -inf and inf as well
    bounds = (
        claim.at_least is None or middle >= claim.at_least,
        claim.at_most is None or middle <= claim.at_most,
    )
    return Verdict(
        says=claim.says,
        measured=tuple(values.tolist()),
        expected=claim.expected,
        holds=all(bounds),
        paper=claim.paper,
    )


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table."""
    return table(
        ("claim", "measured", "expected", "the paper's figure", "verdict"),
        [(v.says, v.spread, v.expected, v.paper, v.result) for v in verdicts],
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def spread(values: Sequence[float] | np.ndarray, never: str = "never") -> str:
    """The median, the lowest and the highest value; says if some are NaN."""
    values = np.asarray(values, float)
    if np.isnan(values).any():
        left = values[~np.isnan(values)]
        if not len(left):
            return "-"
        return f"{spread(left, never)} ({len(left)} of {len(values)})"
    middle, low, high = (
        number(float(value), never)
        for value in (np.median(values), min(values), max(values))
    )
    return middle if len(values) == 1 else f"{middle} [{low}, {high}]"


def number(value: float, never: str = "never") -> str:
    """A number in at most three digits; `never` for infinity."""
    if np.isinf(value):
        return never
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
