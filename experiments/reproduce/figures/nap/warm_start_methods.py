"""A study of our own: remedies from other papers on a warm start, projected or free."""

from collections.abc import Mapping
from typing import Any, get_args

from experiments.reproduce import claims, growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.growing_data import IS_PROJECTED
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import (
    DEFAULT_STRENGTHS,
    RESET_METHODS,
    Config,
    Method,
)
from experiments.warm_start.family import FAMILY

FRACTION = 0.1
METHODS = get_args(Method)
REGULARIZERS = tuple(own for own in METHODS[1:] if own not in RESET_METHODS)
"""Methods that act at every update: they also start from all of the data."""
LINES: dict[str, dict[str, Any]] = {
    f"{method}, {constraint}": {"method": method, "project": project}
    for method in METHODS
    for constraint, project in IS_PROJECTED.items()
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims that one would hope for."""
    return (
        *(
            growing_data.better_claim(
                f"{method}, projected", f"{method}, free", FRACTION, ""
            )
            for method in METHODS
        ),
        *(
            growing_data.better_claim(
                "none, projected", f"{method}, free", FRACTION, ""
            )
            for method in METHODS[1:]
        ),
        *(
            growing_data.gap_claim(
                f"{method}, free", "it catches up", at_most=0.01, paper=""
            )
            for method in REGULARIZERS
        ),
    )


def table(runs: Runs, preset: Preset) -> str:
    """A table of accuracies, gaps to a start from all data, and times of updates."""
    seconds = runs.extra["step_seconds"]
    plain = seconds[growing_data.name("none, free", FRACTION)]
    rows = []
    for arm, config in preset.arms.items():
        before = runs.at(arm, config.num_steps - config.phase_steps)
        at_end = runs.late(arm, last=1)
        constraint = "projected" if config.project else "free"
        from_all = growing_data.final(runs, f"none, {constraint}", 1.0)
        strength = DEFAULT_STRENGTHS.get(config.method)
        rows.append(
            (
                arm,
                "" if strength is None else f"{strength:g}",
                growing_data.accuracies(before),
                growing_data.accuracies(at_end),
                growing_data.accuracies(from_all - at_end),
                f"{seconds[arm] / plain:.2f}",
            )
        )
    header = (
        "method",
        "strength",
        "test accuracy before",
        "at the end",
        "from all data without a method, less that",
        "time of an update over that of none, free",
    )
    return claims.table(header, rows)


def measure(preset: Preset) -> Mapping[str, Any]:
    """The time of one update with each method."""
    return {"step_seconds": FAMILY.code().step_seconds(preset.arms, num_rounds=20)}


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws the final test accuracy of each method, with a mark for each seed."""
    return growing_panels.draw_seeds(
        {method: method.replace("_", "\n") for method in METHODS},
        lambda line: growing_data.final(runs, line, FRACTION),
        label="test accuracy at the end",
        height=4.0,
    )


FIGURE: Figure = growing_data.figure(
    "nap/warm_start_methods",
    "remedies of others on a warm start, alone and with projection",
    LINES,
    fractions=(FRACTION,),
    sizes=growing_data.SHORTER,
    claims_of=claims_of,
    draw=draw,
    table=table,
    measure=measure,
    more={
        line: (1.0,)
        for line in (
            *(f"none, {constraint}" for constraint in IS_PROJECTED),
            *(f"{method}, free" for method in REGULARIZERS),
        )
    },
    note="Each method at its usual strength; none is tuned. From 10 % of the data; "
    "without a method, and with those that act at every update, from all of them as "
    "well.",
)
