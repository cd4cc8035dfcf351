"""A study of our own: other operations, moduli and amounts of data, untuned."""

import functools
from typing import Any

import numpy as np

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

ADDITION = "x + y mod 117, 20 %"
OPERATIONS = (
    ADDITION,
    "x - y mod 117, 20 %",
    "x y mod 113, 20 %",
    "x² + x y + y² mod 97, 50 %",
    "product in S5, 50 %",
)
MODULI = (
    "x + y mod 59, 20 %",
    "x + y mod 97, 20 %",
    ADDITION,
    "x + y mod 128, 20 %",
)
FRACTIONS = (
    "x + y mod 117, 10 %",
    ADDITION,
    "x + y mod 117, 30 %",
    "x + y mod 117, 50 %",
)


def _arms(factor: int) -> dict[str, Config]:
    """The arms. With more data they generalise sooner and need fewer updates.

    Arms that had not generalised after 1500 updates in a first series have 3000.
    """

    def arm(num_steps: int = 1500, **settings: Any) -> Config:
        return Config(num_steps=num_steps * factor, **settings)

    return {
        ADDITION: arm(),
        OPERATIONS[1]: arm(3000, operation="subtraction"),
        OPERATIONS[2]: arm(operation="multiplication", modulus=113),
        OPERATIONS[3]: arm(3000, operation="quadratic", modulus=97, train_fraction=0.5),
        OPERATIONS[4]: arm(1000, operation="s5", train_fraction=0.5),
        MODULI[0]: arm(3000, modulus=59),
        MODULI[1]: arm(3000, modulus=97),
        MODULI[3]: arm(modulus=128),
        FRACTIONS[0]: arm(3000, train_fraction=0.1),
        FRACTIONS[2]: arm(750, train_fraction=0.3),
        FRACTIONS[3]: arm(500, train_fraction=0.5),
    }


def _claims(arms: dict[str, Config]) -> tuple[Claim, ...]:
    def sooner(runs: Runs) -> np.ndarray:
        most, least = (runs.first_step(arm, 0.9) for arm in (FRACTIONS[3], ADDITION))
        return most / least

    return (
        *(
            Claim(
                says=f"{arm}: updates until test accuracy 0.9",
                measure=functools.partial(Runs.first_step, arm=arm, level=0.9),
                at_most=arms[arm].num_steps,
            )
            for arm in dict.fromkeys((*OPERATIONS, *MODULI, *FRACTIONS[1:]))
        ),
        Claim(
            says="too little data: highest test accuracy of x + y mod 117 with 10 %",
            measure=functools.partial(Runs.highest, arm=FRACTIONS[0]),
            at_most=0.5,
        ),
        Claim(
            says="more data, sooner: updates with 50 % over updates with 20 %",
            measure=sooner,
            at_most=0.5,
        ),
    )


def table(runs: Runs, preset: Preset) -> str:
    """A table of updates to .9 and .99: the median and the range over seeds."""
    rows = []
    for arm, config in preset.arms.items():
        spread = [
            claims.spread(runs.first_step(arm, level), never=f">{config.num_steps}")
            for level in (0.9, 0.99)
        ]
        late = f"{np.median(runs.late(arm)):.3f}"
        rows.append((arm, f"{config.num_train_pairs}", *spread, late))
    header = ("task", "training pairs", "updates to .9", "updates to .99", "at the end")
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws test accuracy over updates, by operation, modulus and amount of data."""
    figure, axes = plots.figure(1, 3, width=4.5, height=3.5)
    panels = {
        "operations": OPERATIONS,
        "moduli": MODULI,
        "training pairs": FRACTIONS,
    }
    for ax, (title, arms) in zip(axes[0], panels.items(), strict=True):
        drawing.panel(ax, runs, {arm: arm for arm in arms})
        ax.set(title=title, xlabel="updates", ylim=(-0.03, 1.05))
        drawing.legend(ax)
    axes[0, 0].set(ylabel="test accuracy")
    return figure


def _preset(factor: int, note: str = "") -> Preset:
    arms = _arms(factor)
    return Preset(arms=arms, num_seeds=3, claims=_claims(arms), note=note)


FIGURE = Figure(
    name="nap/other_tasks",
    title="the same settings on other operations, moduli and amounts of data",
    family=FAMILY,
    presets={
        "laptop": _preset(
            1,
            "Adam, projected at every update, learning rate 0.01, no normalisation "
            "layers. The operations are those of Power et al. (2022); multiplication "
            "and the quadratic form are taken modulo a prime.",
        ),
        "paper": _preset(20),
    },
    draw=draw,
    table=table,
)
