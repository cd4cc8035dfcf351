"""A study of our own: where early data hinder later learning, projected or free."""

from collections.abc import Mapping
from typing import Any

from experiments.reproduce import growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.growing_data import IS_PROJECTED
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config

SETTINGS: dict[str, dict[str, Any]] = {
    "rate .001": {"learning_rate": 1e-3},
    "rate .03": {"learning_rate": 3e-2},
    "rate .01, noise .2": {"learning_rate": 1e-2, "label_noise": 0.2},
}
LINES: dict[str, dict[str, Any]] = {
    f"{setting}, {constraint}": {**settings, "project": project}
    for setting, settings in SETTINGS.items()
    for constraint, project in IS_PROJECTED.items()
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims that one would expect from the paper, for each setting."""
    return tuple(
        claim
        for setting in SETTINGS
        for claim in (
            growing_data.gap_claim(
                f"{setting}, free", "early data hinder", at_least=0.01, paper=""
            ),
            growing_data.gap_claim(
                f"{setting}, projected", "it catches up", at_most=0.005, paper=""
            ),
        )
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws the gap in each setting, with a mark for each seed."""
    figure = growing_panels.draw_seeds(
        {setting: setting.replace(", ", "\n") for setting in SETTINGS},
        lambda line: growing_data.gap(runs, line),
        label="final test accuracy from 100 %\nless that from 10 %",
        height=3.6,
    )
    figure.axes[0].axhline(0, color="0.4", linewidth=1, zorder=1)
    return figure


FIGURE: Figure = growing_data.figure(
    "nap/warm_start_gap",
    "where early data hinder: noise in the labels and learning rates",
    LINES,
    fractions=growing_data.FEWER,
    sizes=growing_data.SHORTER,
    claims_of=claims_of,
    draw=draw,
    note="Cycles aligned with the data.",
)
