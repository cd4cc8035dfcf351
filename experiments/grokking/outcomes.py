"""The outcome of a run, in numbers and in a sentence."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.grokking.config import Config
from experiments.harness.outcomes import diverged_at

LEVEL = 0.99
"""Test accuracy from which on a network has generalised."""
LAST = 5
"""Number of last evaluations that show whether it stays so."""
MEDIAN_OF = 10
"""Number of last evaluations whose median a summary has."""
LOST = 0.9
"""Accuracy below which a network that had generalised has lost it."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a run: whether and when it generalised, and how it ended."""

    first_step: int | None
    """The first evaluated step with a test accuracy of `LEVEL` or more."""
    lowest_since: float
    """The lowest training or test accuracy from that step on, or of the whole run."""
    lowest_late: float
    """The lowest of both at the last evaluations."""
    lowest_end: float
    """The lowest of both at the last evaluations, without those before that step."""
    highest: float
    """The highest test accuracy."""
    diverged_at: int | None = None
    """The first evaluated step with a loss that is no finite number."""

    @property
    def stays(self) -> bool:
        """Whether it generalised and both accuracies stay high to the end."""
        return self.lowest_late >= LEVEL

    @property
    def collapsed(self) -> bool:
        """Whether it generalised and was below `LOST` at one of the last evaluations.

        A dip from which it returns before the end counts as well.
        """
        return self.first_step is not None and self.lowest_end < LOST

    @property
    def words(self) -> str:
        """The end of a run that had generalised, in words."""
        if self.diverged_at is not None:
            return f"and diverged at update {self.diverged_at}"
        if self.collapsed:
            return f"and then collapsed (to {self.lowest_end:.2f})"
        if not self.stays:
            return f"and is at {self.lowest_end:.3f} or more at the end"
        if self.lowest_since < LOST:
            return f"fell back to {self.lowest_since:.2f} and returned"
        return "and stayed so"


def outcome(rows: Sequence[Mapping[str, Any]]) -> Outcome:
    """Returns the outcome of a run from its rows, in the order of its steps."""
    first = first_generalised(rows)
    since = [row for row in rows if first is None or row["step"] >= first]

    def lowest(of: Sequence[Mapping[str, Any]]) -> float:
        return min(
            row[name] for row in of for name in ("train_accuracy", "test_accuracy")
        )

    return Outcome(
        first_step=first,
        lowest_since=lowest(since),
        lowest_late=lowest(rows[-LAST:]),
        lowest_end=lowest(since[-LAST:]),
        highest=max(row["test_accuracy"] for row in rows),
        diverged_at=diverged_at(rows),
    )


def first_generalised(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The first evaluated step with a test accuracy of .99 or more, if there is one."""
    return next((row["step"] for row in rows if row["test_accuracy"] >= LEVEL), None)


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """The outcome in words: whether a run memorised, generalised and kept that."""
    own = outcome(rows)
    memorised = next((r["step"] for r in rows if r["train_accuracy"] >= LEVEL), None)
    if own.first_step is not None:
        reached = f"generalised at update {own.first_step}"
    elif memorised is not None:
        reached = f"memorised at update {memorised}"
    else:
        highest = max(row["train_accuracy"] for row in rows)
        reached = f"has not memorised (train accuracy at most {highest:.2f})"
    if own.diverged_at is not None:
        return f"{reached}, diverged at update {own.diverged_at}"
    if own.collapsed:
        since = _lost_at(rows, ("train_accuracy", "test_accuracy"))
        return f"{reached}, collapsed at update {since} (to {own.lowest_end:.2f})"
    if own.first_step is not None:
        return f"{reached} {own.words}"
    if memorised is None:
        return reached
    lowest = min(row["train_accuracy"] for row in rows[-LAST:])
    if lowest < LOST:
        since = _lost_at(rows, ("train_accuracy",))
        return f"{reached}, collapsed at update {since} (to {lowest:.2f})"
    return f"{reached}, has not generalised (test accuracy at most {own.highest:.2f})"


def _lost_at(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> int:
    """The first step of the last stretch of evaluations below `LOST`."""
    low = [min(row[name] for name in names) < LOST for row in rows]
    end = max(index for index, is_low in enumerate(low) if is_low)
    start = next((i + 1 for i in range(end, -1, -1) if not low[i]), 0)
    return rows[start]["step"]


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """The summary of a seed: when it generalised, and its accuracies at the end.

    The accuracy of late networks dips now and then, so the end is also judged by the
    median of the last evaluations.
    """
    late = [row["test_accuracy"] for row in rows[-MEDIAN_OF:]]
    return {
        "final_train_accuracy": rows[-1]["train_accuracy"],
        "final_test_accuracy": rows[-1]["test_accuracy"],
        "median_late_test_accuracy": statistics.median(late),
        "first_step_test_accuracy_99": first_generalised(rows),
    }


HIGHEST_OF_OTHERS = 0.25
"""Test accuracy that no other arm of the demo may reach."""


def is_as_promised(outcomes: Mapping[str, Outcome]) -> bool:
    """Whether only the last arm, with the highest peak, generalises for good."""
    *others, highest = outcomes.values()
    return highest.stays and all(
        other.highest < HIGHEST_OF_OTHERS and other.diverged_at is None
        for other in others
    )


def sentence(outcomes: Mapping[str, Outcome], rewarm_step: int) -> str:
    """A sentence on the arms: which generalised and when, and which failed.

    Args:
      outcomes: the outcome of each arm, by a name such as "re-warmed to 0.01".
      rewarm_step: the update at which the arms began to differ.
    """
    parts = [
        f"the one {name} generalised after {own.first_step - rewarm_step} updates "
        f"{own.words}"
        for name, own in outcomes.items()
        if own.first_step is not None
    ]
    others = {name: own for name, own in outcomes.items() if own.first_step is None}
    parts += [
        f"the one {name} diverged at update {own.diverged_at}"
        for name, own in others.items()
        if own.diverged_at is not None
    ]
    never = [name for name, own in others.items() if own.diverged_at is None]
    if never:
        highest = max(outcomes[name].highest for name in never)
        who = " and ".join(f"the one {name}" for name in never)
        did_not = f"{who} did not generalise" if parts else "none generalised"
        parts.append(f"{did_not} (test accuracy at most {highest:.2f})")
    text = "; ".join(parts)
    return f"Of {len(outcomes)} copies of the network that had memorised, {text}."


def title(outcomes: Mapping[str, Outcome]) -> str:
    """Returns a picture's title, which says what it shows."""
    stay = [name for name, own in outcomes.items() if own.stays]
    if not stay:
        return "A network that has memorised: none of its copies generalises for good"
    which = " and ".join(f"the copy {name}" for name in stay)
    only = "only " if len(stay) < len(outcomes) else ""
    verb = "generalises" if len(stay) == 1 else "generalise"
    return f"A network that has memorised: {only}{which} {verb}"
