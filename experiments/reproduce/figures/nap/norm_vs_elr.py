"""A study of our own: is it the weights' norm or the effective learning rate?

The norm of every matrix is held at r times its initial one, and the learning rate is
r times a base rate, so that arms with one base rate have one effective learning rate.
"""

from typing import Any

import numpy as np

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

RADII = (0.5, 1.0, 2.0)
BASE_RATES = (2.5e-3, 5e-3, 1e-2, 2e-2)
NORMALIZED_RATE = 1e-2
LEVEL = 0.9


def name(radius: float, rate: float, *, normalize: bool = False) -> str:
    """Names an arm."""
    return f"{'norms, ' if normalize else ''}r = {radius:g}, rate / r = {rate:g}"


def _arms(plain_steps: int, normalized_steps: int, **task: Any) -> dict[str, Config]:
    plain = {
        name(radius, rate): Config(
            num_steps=plain_steps,
            radius_multiplier=radius,
            learning_rate=radius * rate,
            **task,
        )
        for rate in BASE_RATES
        for radius in RADII
    }
    normalized = {
        name(radius, NORMALIZED_RATE, normalize=True): Config(
            num_steps=normalized_steps,
            radius_multiplier=radius,
            learning_rate=radius * NORMALIZED_RATE,
            normalize=True,
            # So the scales decay equally per update in all arms.
            scale_decay=1 / radius,
            **task,
        )
        for radius in RADII
    }
    return plain | normalized


def times(runs: Runs) -> np.ndarray:
    """Updates to the level, shape (rates, radii, seeds); infinity for never."""
    return np.asarray(
        [
            [runs.first_step(name(radius, rate), LEVEL) for radius in RADII]
            for rate in BASE_RATES
        ]
    )


def share_of_rate(runs: Runs, never: float) -> np.ndarray:
    """The share of the variation of log time that the effective rate explains, by seed.

    It is a share of what rate and norm explain separately (the sums of squares of rows
    and of columns). Runs that never generalise count as `never` updates.
    """
    logs = np.log(np.minimum(times(runs), never))
    mean = logs.mean(axis=(0, 1))
    by_rate = np.square(logs.mean(axis=1) - mean).mean(axis=0)
    by_norm = np.square(logs.mean(axis=0) - mean).mean(axis=0)
    return by_rate / (by_rate + by_norm)


def agreement(runs: Runs) -> np.ndarray:
    """The number of base rates at which all norms agree on whether it generalises."""
    reached = np.isfinite(times(runs))
    return (reached == reached[:, :1]).all(axis=1).sum(axis=0)


def _claims(updates: int) -> tuple[Claim, ...]:
    return (
        Claim(
            says="the effective rate sets when: its share of what it and the norm "
            "explain of the log of the updates to .9",
            measure=lambda runs: share_of_rate(runs, 2 * updates),
            at_least=0.5,
        ),
        Claim(
            says="and whether: base rates at which all norms agree, of "
            f"{len(BASE_RATES)}",
            measure=agreement,
            at_least=len(BASE_RATES) - 1,
        ),
    )


def table(runs: Runs, preset: Preset) -> str:
    """A table of updates to the level and of the measured relative updates."""
    rows = []
    for arm, config in preset.arms.items():
        steps = runs.first_step(arm, LEVEL)
        relative = np.median(runs.curve(arm, "relative_update")[1], axis=1)
        rows.append(
            (
                arm,
                f"{config.learning_rate:g}",
                claims.spread(relative),
                claims.spread(steps, never=f">{config.num_steps}"),
                claims.spread(runs.late(arm)),
            )
        )
    header = (
        "arm",
        "learning rate",
        "relative update, median over the run",
        "updates to .9",
        "test accuracy at the end",
    )
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws accuracy and relative update by base rate, with a line for each norm."""
    figure, axes = plots.figure(2, len(BASE_RATES) + 1, width=3.2, height=2.8)
    columns = {
        f"rate / r = {rate:g}": {
            name(radius, rate): f"r = {radius:g}" for radius in RADII
        }
        for rate in BASE_RATES
    }
    columns[f"norms, rate / r = {NORMALIZED_RATE:g}"] = {
        name(radius, NORMALIZED_RATE, normalize=True): f"r = {radius:g}"
        for radius in RADII
    }
    for column, (title, arms) in enumerate(columns.items()):
        top, bottom = axes[:, column]
        drawing.panel(top, runs, arms)
        drawing.panel(bottom, runs, arms, metric="relative_update")
        top.set(title=title, ylim=(-0.03, 1.05))
        bottom.set(xlabel="updates", yscale="log")
    axes[0, 0].set(ylabel="test accuracy")
    axes[1, 0].set(ylabel="relative update\n(median of the matrices)")
    drawing.legend(axes[0, -1])
    return figure


FIGURE = Figure(
    name="nap/norm_vs_elr",
    title="does the norm or the effective learning rate decide whether and when a "
    "network generalises?",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms=_arms(1000, 2500, modulus=97, train_fraction=0.25),
            num_seeds=3,
            claims=_claims(1000),
            note="x + y mod 97 with 25 % of the pairs, smaller than the paper's task "
            "so that 15 arms fit. Adam; the matrices start at r times their usual "
            "norm and are held there, so the arms with one r share a starting point. "
            "Without normalisation layers r also changes the function (by up to its "
            "sixth power); with them the scales, which the norm does not touch, still "
            "learn at the rate and not at the rate / r.",
        ),
        "paper": Preset(
            arms=_arms(20_000, 20_000),
            num_seeds=3,
            claims=_claims(20_000),
        ),
    },
    draw=draw,
    table=table,
)
