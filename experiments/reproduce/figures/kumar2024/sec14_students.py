"""Appendix 14 of Kumar et al. (2024): weight decay against laziness, on students."""

from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.student_teacher.config import Config
from experiments.reproduce import lazy_rich, students
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import CLASSES

DECAYS = (0.025, 0.05, 0.1, 0.2)
LAZIER = 4.0


def name(alpha: float, decay: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}, decay {decay:g}"


NAMES = tuple(name(1.0, decay) for decay in DECAYS)


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    arms = [(1.0, decay) for decay in DECAYS] + [(LAZIER, 0.05), (LAZIER, 0.2)]
    return {
        name(alpha, decay): Config(alpha=alpha, weight_decay=decay, **size)
        for alpha, decay in arms
    }


CLAIMS = (
    lazy_rich.rising_claim(
        "the more decay, the sooner it generalises: updates to .95 of the test "
        "examples",
        NAMES,
        CLASSES.generalised,
        falling=True,
        paper="sooner",
    ),
    Claim(
        says="in inverse proportion: updates with .05 over those with .2 (exactly, it "
        "would be 4)",
        measure=lambda runs: (
            CLASSES.generalised(runs, name(1.0, 0.05))
            / CLASSES.generalised(runs, name(1.0, 0.2))
        ),
        at_least=3,
        at_most=5,
        paper="inverse (it says linear)",
    ),
    Claim(
        says="laziness undoes it: at decay .2, updates with alpha = 4 over those with "
        "alpha = 1",
        measure=lambda runs: (
            CLASSES.generalised(runs, name(LAZIER, 0.2))
            / CLASSES.generalised(runs, name(1.0, 0.2))
        ),
        at_least=1.5,
        paper="the delay comes back",
    ),
)

FIGURE = students.figure(
    name="kumar2024/sec14_students",
    title="weight decay shortens the delay, laziness brings it back",
    arms_of=_arms,
    claims=CLAIMS,
    draw=lazy_rich.draw_classes,
    table=lazy_rich.table_with_ratio(CLASSES),
)
