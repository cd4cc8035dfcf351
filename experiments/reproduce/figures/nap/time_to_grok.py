"""A study of our own: how soon each optimizer generalises."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

PROJECTED = "Adam, projected"
ADAMW = "AdamW, decay 1"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
LEVEL = 0.99
FREE: dict[str, Any] = {"project": False, "weight_decay": 1.0}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    PROJECTED: {},
    f"{PROJECTED}, norms, scale decay 1": {"normalize": True, "scale_decay": 1.0},
    "hyperball": {"optimizer": "hyperball"},
    ADAMW: {"optimizer": "adamw", **FREE},
    "Muon, decay 1": {"optimizer": "muon", **FREE},
    "Grokfast, decay 1": {"optimizer": "grokfast", **FREE},
}


def name(optimizer: str, rate: float) -> str:
    """Names an arm."""
    return f"{optimizer}, rate {rate:g}"


USUAL = name(ADAMW, 1e-3)
"""The usual rate of the literature, with this project's decay of the second moment."""


def _arms(updates: int) -> dict[str, Config]:
    return {
        name(optimizer, rate): Config(
            num_steps=updates,
            eval_every=25,
            learning_rate=rate,
            **OPTIMIZERS[optimizer],
        )
        for optimizer in OPTIMIZERS
        for rate in RATES
    }


def first(runs: Runs, arm: str) -> np.ndarray:
    """The updates until the level, for each seed."""
    return runs.first_step(arm, LEVEL)


def best_rate(runs: Runs, optimizer: str) -> float:
    """The rate of the grid with the fewest median updates until the level.

    Ties, also of rates that never reach it, are decided by the updates to .9 and then
    by the highest test accuracy.
    """

    def order(rate: float) -> tuple[float, float, float]:
        arm = name(optimizer, rate)
        return (
            _nearest(first(runs, arm), 0.5),
            _nearest(runs.first_step(arm, 0.9), 0.5),
            -float(np.median(runs.highest(arm))),
        )

    return min(RATES, key=order)


def best(runs: Runs, optimizer: str) -> str:
    """The arm with that rate."""
    return name(optimizer, best_rate(runs, optimizer))


def _claims(updates: int) -> tuple[Claim, ...]:
    def ratio(runs: Runs) -> np.ndarray:
        # A run that never generalises counts with its length. That is a lower bound of
        # their time, so the ratio is an upper bound. If neither does, it is undefined.
        ours, theirs = (
            first(runs, best(runs, optimizer)) for optimizer in (PROJECTED, ADAMW)
        )
        neither = np.isinf(ours) & np.isinf(theirs)
        limited = np.minimum(ours, updates) / np.minimum(theirs, updates)
        return np.where(neither, np.nan, limited)

    return (
        Claim(
            says=f"{PROJECTED}, best rate: it generalises: updates until test accuracy "
            f"{LEVEL:g}",
            measure=lambda runs: first(runs, best(runs, PROJECTED)),
            at_most=updates,
        ),
        Claim(
            says=f"no later than {ADAMW}, each at its best rate: ratio of the updates "
            "(never: the length of the run)",
            measure=ratio,
            at_most=1,
        ),
        Claim(
            says=f"{USUAL}, the rate usual in the literature, has not generalised "
            "yet: highest test accuracy",
            measure=functools.partial(Runs.highest, arm=USUAL),
            at_most=0.9,
        ),
    )


def table(runs: Runs, preset: Preset) -> str:
    """A table of each optimizer at its best rate, with quartiles, and at all rates."""
    rows = []
    for optimizer in OPTIMIZERS:
        arm = best(runs, optimizer)
        most = preset.arms[arm].num_steps
        soon, steps = (runs.first_step(arm, level) for level in (0.9, LEVEL))
        seconds = runs.extra["step_seconds"][optimizer]
        rates = (first(runs, name(optimizer, rate)) for rate in RATES)
        rows.append(
            (
                optimizer,
                _rate(best_rate(runs, optimizer)),
                _quartiles(soon, most),
                _quartiles(steps, most),
                f"{np.isfinite(steps).sum()} of {len(steps)}",
                _shares(runs, arm),
                f"{1e3 * seconds:.1f}",
                _up_to(_nearest(steps, 0.5) * seconds, most * seconds),
                f"{np.median(runs.highest(arm)):.3f}",
                " / ".join(_up_to(_nearest(own, 0.5), most) for own in rates),
                " / ".join(_shares(runs, name(optimizer, rate)) for rate in RATES),
            )
        )
    header = (
        "optimizer",
        "best rate",
        "updates to 0.9 [quartiles]",
        f"updates to {LEVEL:g} [quartiles]",
        "seeds that do",
        "share at .95 from it on",
        "ms an update",
        f"seconds to {LEVEL:g}",
        "highest test accuracy",
        f"updates to {LEVEL:g} at {' / '.join(f'{rate:g}' for rate in RATES)}",
        "share at .95 from it on, likewise",
    )
    return claims.table(header, rows)


def _rate(rate: float) -> str:
    """A rate as text, with a mark if a better rate may lie outside the grid."""
    return f"{rate:g}{' (edge)' if rate in (RATES[0], RATES[-1]) else ''}"


def _quartiles(steps: np.ndarray, most: int) -> str:
    middle, low, high = (
        _up_to(_nearest(steps, share), most) for share in (0.5, 0.25, 0.75)
    )
    return f"{middle} [{low}, {high}]"


def _shares(runs: Runs, arm: str) -> str:
    """The shares at .95 from the first evaluation at .99 on, of seeds that have one."""
    found = runs.share_generalised(arm)[np.isfinite(first(runs, arm))]
    return f"{np.median(found):.2f}" if len(found) else "-"


def _nearest(values: np.ndarray, share: float) -> float:
    """A quantile that is one of the values, because infinity cannot be averaged."""
    return float(np.quantile(values, share, method="nearest"))


def _up_to(value: float, most: float) -> str:
    return f">{most:.0f}" if np.isinf(value) else f"{value:.0f}"


def measure(preset: Preset) -> Mapping[str, Any]:
    """The time of one update of each optimizer."""
    # The time does not depend on the rate.
    arms = {own: preset.arms[name(own, RATES[0])] for own in OPTIMIZERS}
    return {"step_seconds": FAMILY.code().step_seconds(arms)}


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws test accuracy over updates and over seconds, each at its best rate."""
    figure, axes = plots.figure(1, 2, width=6.0, height=4.0)
    for ax, unit in zip(axes[0], ("updates", "seconds"), strict=True):
        for color, optimizer in zip(
            drawing.colors(len(OPTIMIZERS)), OPTIMIZERS, strict=True
        ):
            arm = best(runs, optimizer)
            steps, values = runs.curve(arm, "test_accuracy")
            seconds = runs.extra["step_seconds"][optimizer]
            scale = seconds if unit == "seconds" else 1
            plots.line_with_spread(ax, steps * scale, values, label=arm, color=color)
        ax.set(xlabel=unit, ylim=(-0.03, 1.05))
    axes[0, 0].set(ylabel="test accuracy")
    drawing.legend(axes[0, 1])
    return figure


FIGURE = Figure(
    name="nap/time_to_grok",
    title="how soon each optimizer generalises, in updates and in seconds",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms=_arms(1200),
            num_seeds=5,
            claims=_claims(1200),
            note="The paper's network and task, without normalisation layers except in "
            "one arm. Every optimizer has the same four rates, the same decay of the "
            "second moment (0.95) and is shown at its best rate; nothing else is "
            "tuned. Grokfast (Lee et al., 2024, arXiv 2405.20233): mean with decay "
            "0.98 added twice. Muon: Adam for the tables and the read-out.",
        ),
        "paper": Preset(arms=_arms(100_000), num_seeds=5, claims=_claims(100_000)[:2]),
    },
    draw=draw,
    table=table,
    measure=measure,
)
