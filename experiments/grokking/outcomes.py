"""What became of a run, in numbers and in a sentence."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

LEVEL = 0.99
"""Test accuracy from which a network has generalised."""
LAST = 5
"""Evaluations at the end by which it is judged whether it stays so."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Whether a run generalised, when, and how it ended."""

    first_step: int | None
    """The first evaluated step with a test accuracy of `LEVEL` or more."""
    lowest_late: float
    """The lowest training or test accuracy at the last evaluations."""
    highest_late: float
    """The highest test accuracy at the last evaluations."""

    @property
    def stays(self) -> bool:
        """It has generalised, and training and test accuracy are high to the end."""
        return self.lowest_late >= LEVEL

    @property
    def collapsed(self) -> bool:
        """It had generalised and has lost it again."""
        return self.first_step is not None and not self.stays


def outcome(rows: Sequence[Mapping[str, Any]]) -> Outcome:
    """Of one run, whose rows are in the order of its steps."""
    late = rows[-LAST:]
    return Outcome(
        first_step=first_generalised(rows),
        lowest_late=min(
            row[name] for row in late for name in ("train_accuracy", "test_accuracy")
        ),
        highest_late=max(row["test_accuracy"] for row in late),
    )


def first_generalised(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The first evaluated step with a test accuracy of .99 or more, if there is one."""
    return next((row["step"] for row in rows if row["test_accuracy"] >= LEVEL), None)


def sentence(outcomes: Mapping[str, Outcome], rewarm_step: int) -> str:
    """Who generalised and when, who collapsed, who did nothing.

    Args:
      outcomes: by what was done to each, such as "re-warmed to 0.01".
      rewarm_step: when that began.
    """
    parts = []
    for name, own in outcomes.items():
        if own.first_step is None:
            continue
        after = own.first_step - rewarm_step
        end = "and stayed so" if own.stays else "and then collapsed"
        parts.append(f"the one {name} generalised after {after} updates {end}")
    never = [name for name, own in outcomes.items() if own.first_step is None]
    if never:
        highest = max(outcomes[name].highest_late for name in never)
        who = "none" if not parts else f"{' and '.join(f'the one {n}' for n in never)}"
        verb = "generalised" if not parts else "did not"
        parts.append(f"{who} {verb} (test accuracy at most {highest:.2f})")
    text = "; ".join(parts)
    return f"Of {len(outcomes)} copies of the network that had memorised, {text}."


def title(outcomes: Mapping[str, Outcome]) -> str:
    """For a picture: what can be seen in it, whatever that is."""
    stay = [name for name, own in outcomes.items() if own.stays]
    if not stay:
        return "A network that has memorised: none of its copies generalises for good"
    only = "only the copy" if len(stay) < len(outcomes) else "each copy"
    return f"A network that has memorised: {only} {' or '.join(stay)} generalises"
