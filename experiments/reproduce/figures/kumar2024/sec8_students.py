"""Appendix 8.3.1 of Kumar et al. (2024): students and teachers."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.student_teacher.config import Config
from experiments.reproduce import lazy_rich, students
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import CLASSES

ALPHAS = (0.1, 0.25, 1.0, 2.0, 4.0)


def name(alpha: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}"


NAMES = tuple(map(name, ALPHAS))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name(alpha): Config(alpha=alpha, **size) for alpha in ALPHAS}


CLAIMS = (
    lazy_rich.rising_claim(
        "the lazier, the later it generalises: updates to .95 of the test examples",
        NAMES,
        CLASSES.generalised,
        paper="later",
    ),
    lazy_rich.rising_claim(
        "and the longer the delay from the training to the test examples",
        NAMES,
        CLASSES.delay,
        paper="longer",
    ),
    Claim(
        says="from alpha = 0.25 to 4 the update at which it generalises grows: ratio",
        measure=lambda runs: (
            CLASSES.generalised(runs, name(4.0)) / CLASSES.generalised(runs, name(0.25))
        ),
        at_least=5,
        paper="vanishes, and is more pronounced",
    ),
    Claim(
        says="little laziness ends grokking: at alpha = 0.1, updates to the test over "
        "those to the training examples",
        measure=lambda runs: CLASSES.ratio(runs, name(0.1)),
        at_most=1.5,
        paper="no delay",
    ),
    Claim(
        says="the norm falls here, since weights decay: at the end over the initial "
        "one, at alpha = 1",
        measure=lambda runs: lazy_rich.final(runs, name(1.0), "weight_norm_ratio"),
        at_most=0.9,
    ),
)

FIGURE = students.figure(
    name="kumar2024/sec8_students",
    title="students and teachers: alpha makes grokking vanish, or more pronounced",
    arms_of=_arms,
    claims=CLAIMS,
    draw=functools.partial(lazy_rich.draw_classes, sweep=True),
    table=lazy_rich.table_with_ratio(CLASSES),
)
