"""A study of our own: which reading of the paper's model fits the paper's curves?

The paper (Lyle et al., 2025) does not give the deviation of the position table, Adam's
second decay, or whether tables and read-out are projected. On warm-up and number of
blocks it contradicts itself. Each reading is run in four settings of its figures.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

Settings = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of the paper's figures, and their results at some updates."""

    title: str
    settings: Settings
    updates: int
    paper: Mapping[int, float]
    """The paper's test accuracy, by updates."""
    skips: tuple[str, ...] = ()
    """Readings that change nothing in this setting, or were left out."""

    @property
    def points(self) -> drawing.Points:
        """The paper's points, as they are drawn."""
        return list(self.paper.items())


DELAY = 1000
EQUAL, SMALL = "position table as large", "a tenth"


def reading(table: str, b2: float) -> str:
    """Names a reading of the grid."""
    return f"{table}, β₂ {b2:g}"


DEFAULT = reading(SMALL, 0.95)
GRID: dict[str, Settings] = {
    reading(table, b2): {"position_scale": scale, "adam_b2": b2}
    for table, scale, b2 in (
        (EQUAL, 1.0, 0.999),
        (EQUAL, 1.0, 0.95),
        (SMALL, 0.1, 0.999),
        (SMALL, 0.1, 0.95),
        (SMALL, 0.1, 0.98),
    )
}
OWN = GRID[DEFAULT]
WARM_UP = f"{DEFAULT}, warm-up 1000"
WARM_UP_OLD = f"{reading(SMALL, 0.999)}, warm-up 1000"
SMALLER = "a hundredth, β₂ 0.95"
FREE_TABLES = f"{DEFAULT}, tables not projected"
FREE_READOUT = f"{DEFAULT}, read-out not projected"
TWO_BLOCKS = f"{DEFAULT}, two blocks"
OTHERS: dict[str, Settings] = {
    SMALLER: {**OWN, "position_scale": 0.01},
    WARM_UP: {**OWN, "warmup_steps": 1000},
    WARM_UP_OLD: {**OWN, "warmup_steps": 1000, "adam_b2": 0.999},
    FREE_TABLES: {**OWN, "project_tables": False},
    FREE_READOUT: {**OWN, "project_readout": False},
    TWO_BLOCKS: {**OWN, "num_blocks": 2},
}
READINGS: dict[str, Settings] = {**GRID, **OTHERS}

SETTINGS = {
    "every 100th": Setting(
        "projected at every 100th update, 1e-2, decay .01",
        {"weight_decay": 0.01, "project_every": 100},
        3000,
        {1000: 0.331, 2000: 0.933, 3000: 0.992},
    ),
    "free": Setting(
        "free, 1e-2, decay 1",
        {"weight_decay": 1.0, "project": False},
        3000,
        {1000: 0.705, 2000: 0.9994},
        skips=(FREE_TABLES, FREE_READOUT, TWO_BLOCKS),
    ),
    "free, slow": Setting(
        "free, 1e-3, decay .01",
        {"weight_decay": 0.01, "project": False, "learning_rate": 1e-3},
        1000,
        {1000: 0.192},
        skips=(WARM_UP, WARM_UP_OLD, FREE_TABLES, FREE_READOUT, TWO_BLOCKS),
    ),
    "re-warmed": Setting(
        f"norms, scale decay 1, re-warmed to 1e-2 at {DELAY}",
        {
            "normalize": True,
            "scale_decay": 1.0,
            "delay_steps": DELAY,
            "cooldown_steps": 300,
        },
        2 * DELAY,
        {DELAY: 0.203, 2 * DELAY: 0.978},
        skips=(WARM_UP, WARM_UP_OLD, TWO_BLOCKS),
    ),
}


def name(setting: str, read: str) -> str:
    """Names an arm."""
    return f"{setting}: {read}"


def _arms(factor: int) -> dict[str, Config]:
    return {
        name(key, read): Config(
            num_steps=setting.updates * factor, **{**setting.settings, **own}
        )
        for key, setting in SETTINGS.items()
        for read, own in READINGS.items()
        if read not in setting.skips
    }


def distance(runs: Runs, read: str) -> np.ndarray:
    """The mean distance from the paper's numbers, with equal weights, for each seed."""
    settings = [
        np.mean(
            [abs(runs.at(name(key, read), x) - y) for x, y in setting.paper.items()],
            axis=0,
        )
        for key, setting in SETTINGS.items()
    ]
    return np.mean(settings, axis=0)


def in_all_settings() -> list[str]:
    """The readings with comparable distances, run in all settings."""
    return [
        read
        for read in READINGS
        if not any(read in setting.skips for setting in SETTINGS.values())
    ]


def _claims() -> tuple[Claim, ...]:
    def at(key: str, updates: int, low: float, high: float | None = None) -> Claim:
        setting = SETTINGS[key]
        return Claim(
            says=f"{DEFAULT}; {setting.title}: test accuracy at {updates}",
            measure=functools.partial(Runs.at, arm=name(key, DEFAULT), step=updates),
            at_least=low,
            at_most=high,
            paper=f"{setting.paper[updates]:g}" if updates in setting.paper else "",
        )

    def against_nearest(runs: Runs) -> np.ndarray:
        others = [distance(runs, own) for own in in_all_settings() if own != DEFAULT]
        return distance(runs, DEFAULT) / np.min(others, axis=0)

    return (
        at("free, slow", 1000, 0.15, 0.25),
        at("re-warmed", DELAY, 0.15, 0.25),
        at("re-warmed", 2 * DELAY, 0.95),
        at("every 100th", 3000, 0.97),
        at("free", 2000, 0.97),
        Claim(
            says="of the readings run in all four settings this is the nearest to the "
            "paper: its mean distance over that of the nearest other",
            measure=against_nearest,
            at_most=1,
        ),
    )


def table(runs: Runs, preset: Preset) -> str:
    """A table of test accuracies beside the paper's, and the distance from them."""
    columns = [(key, x, y) for key, s in SETTINGS.items() for x, y in s.paper.items()]
    header = ("reading", *(f"{key}, {x}" for key, x, _ in columns), "distance")
    rows = [("the paper", *(f"{y:.3g}" for *_, y in columns), "")]
    for read in READINGS:
        cells = [
            claims.spread(runs.at(name(key, read), x))
            if name(key, read) in runs.arms
            else ""
            for key, x, _ in columns
        ]
        compared = read in in_all_settings()
        off = claims.spread(distance(runs, read)) if compared else ""
        rows.append((read, *cells, off))
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws test accuracy over updates and the paper's points, a panel per setting."""
    from experiments.harness import plots

    figure, axes = plots.figure(2, 2, width=5.5, height=3.4)
    for ax, (key, setting) in zip(axes.flat, SETTINGS.items(), strict=True):
        arms = {name(key, read): read for read in GRID}
        drawing.panel(ax, runs, arms)
        x, y = zip(*setting.points, strict=True)
        ax.plot(x, y, **drawing.PAPER_STYLE, color="black", label=drawing.PAPER_LABEL)
        ax.set(title=setting.title, xlabel="updates", ylim=(-0.03, 1.05))
        if setting.settings.get("delay_steps"):
            ax.axvline(DELAY, color="0.3", linestyle="--", linewidth=1)
    for ax in axes[:, 0]:
        ax.set(ylabel="test accuracy")
    drawing.legend(axes[0, 1])
    return figure


FIGURE = Figure(
    name="nap/reading",
    title="which reading of the model fits the paper's curves: a small position "
    "table and a short memory of Adam",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms=_arms(1),
            num_seeds=3,
            claims=_claims(),
            note="Warm-up of 100 updates where none is named (the paper: 1000), then "
            "constant. The distance is the mean over the settings of the mean distance "
            "from the paper's test accuracies, of readings run in all of them. The "
            "paper's numbers are of figure 2a and, re-warmed, of figure 3, whose next "
            "point is 10,000 updates after the re-warm.",
        ),
        "paper": Preset(arms=_arms(10), num_seeds=3, claims=_claims()),
    },
    draw=draw,
    table=table,
)
