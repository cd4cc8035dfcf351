"""A study of our own: how soon each optimizer generalises."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.grokking import study
from experiments.grokking.config import Config
from experiments.harness import plots
from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

PROJECTED = "Adam, projected"
ADAMW = "AdamW, decay 1"
ADAMW_LOW = "AdamW, rate 0.001, decay 1"
LEVEL = 0.99


def _arms(updates: int, **settings: Any) -> dict[str, Config]:
    """All at a learning rate of 0.01 unless their names say otherwise."""
    base = {"num_steps": updates, "eval_every": 25, **settings}
    free = {**base, "project": False}
    return {
        PROJECTED: Config(**base),
        f"{PROJECTED}, norms, scale decay 1": Config(
            normalize=True, scale_decay=1.0, **base
        ),
        "hyperball, rate 0.03": Config(
            optimizer="hyperball", learning_rate=0.03, **base
        ),
        ADAMW: Config(optimizer="adamw", weight_decay=1.0, **free),
        ADAMW_LOW: Config(
            optimizer="adamw", weight_decay=1.0, learning_rate=1e-3, **free
        ),
        "Muon, decay 1": Config(optimizer="muon", weight_decay=1.0, **free),
        "Grokfast, decay 1": Config(optimizer="grokfast", weight_decay=1.0, **free),
        "Grokfast, rate 0.001, decay 0.005": Config(
            optimizer="grokfast", weight_decay=0.005, learning_rate=1e-3, **free
        ),
    }


def _claims(updates: int) -> tuple[Claim, ...]:
    def first(runs: Runs, arm: str) -> np.ndarray:
        return runs.first_step(arm, LEVEL)

    def ratio(runs: Runs) -> np.ndarray:
        # What never does counts as the length of the run: for theirs a lower bound, so
        # for the ratio an upper one.
        ours, theirs = (
            np.minimum(first(runs, arm), updates) for arm in (PROJECTED, ADAMW)
        )
        return ours / theirs

    return (
        Claim(
            says=f"{PROJECTED}: it generalises: updates until test accuracy {LEVEL:g}",
            measure=functools.partial(first, arm=PROJECTED),
            at_most=updates,
        ),
        Claim(
            says=f"no later than {ADAMW}, at the same rate: ratio of the updates "
            "(never: the length of the run)",
            measure=ratio,
            at_most=1,
        ),
        Claim(
            says=f"{ADAMW_LOW}, the setting usual in the literature, has not "
            "generalised yet: highest test accuracy",
            measure=functools.partial(Runs.highest, arm=ADAMW_LOW),
            at_most=0.9,
        ),
    )


def table(runs: Runs, preset: Preset) -> str:
    """Updates and seconds to two levels: the median and the quartiles over seeds."""
    rows = []
    for arm, config in preset.arms.items():
        soon, steps = (runs.first_step(arm, level) for level in (0.9, LEVEL))
        seconds = runs.extra["step_seconds"][arm]
        most = config.num_steps
        rows.append(
            (
                arm,
                _quartiles(soon, most),
                _quartiles(steps, most),
                f"{np.isfinite(steps).sum()} of {len(steps)}",
                f"{1e3 * seconds:.1f}",
                _up_to(_nearest(steps, 0.5) * seconds, most * seconds),
                f"{np.median(runs.highest(arm)):.3f}",
            )
        )
    header = (
        "optimizer",
        "updates to 0.9 [quartiles]",
        f"updates to {LEVEL:g} [quartiles]",
        "seeds that do",
        "ms an update",
        f"seconds to {LEVEL:g}",
        "highest test accuracy",
    )
    return claims.table(header, rows)


def _quartiles(steps: np.ndarray, most: int) -> str:
    middle, low, high = (
        _up_to(_nearest(steps, share), most) for share in (0.5, 0.25, 0.75)
    )
    return f"{middle} [{low}, {high}]"


def _nearest(values: np.ndarray, share: float) -> float:
    """A quantile that is one of the values: infinity cannot be averaged."""
    return float(np.quantile(values, share, method="nearest"))


def _up_to(value: float, most: float) -> str:
    return f">{most:.0f}" if np.isinf(value) else f"{value:.0f}"


def measure(preset: Preset) -> Mapping[str, Any]:
    """The time of one update of each optimizer."""
    return {"step_seconds": study.step_seconds(preset.arms)}


def draw(runs: Runs, preset: Preset) -> Any:
    """Test accuracy over updates and over seconds."""
    figure, axes = plots.figure(1, 2, width=6.0, height=4.0)
    for ax, unit in zip(axes[0], ("updates", "seconds"), strict=True):
        for color, arm in zip(
            drawing.colors(len(preset.arms)), preset.arms, strict=True
        ):
            steps, values = runs.curve(arm, "test_accuracy")
            scale = runs.extra["step_seconds"][arm] if unit == "seconds" else 1
            plots.line_with_spread(ax, steps * scale, values, label=arm, color=color)
        ax.set(xlabel=unit, ylim=(-0.03, 1.05))
    axes[0, 0].set(ylabel="test accuracy")
    drawing.legend(axes[0, 1])
    return figure


FIGURE = Figure(
    name="nap/time_to_grok",
    title="how soon each optimizer generalises, in updates and in seconds",
    runner=study,
    presets={
        "laptop": Preset(
            arms=_arms(1200),
            num_seeds=5,
            claims=_claims(1200),
            note="The paper's network and task, without normalisation layers except in "
            "one arm; learning rate 0.01 where no other is named. Grokfast (Lee et "
            "al., 2024, arXiv 2405.20233): mean with decay 0.98 added twice, once with "
            "its authors' decay and rate and once with those of AdamW. Muon: Adam for "
            "the tables and the read-out. Nothing is tuned, except that hyperball's "
            "rate was the better of 0.01 and 0.03 in a run of 300 updates at p = 59.",
        ),
        "paper": Preset(arms=_arms(100_000), num_seeds=5, claims=_claims(100_000)[:2]),
    },
    draw=draw,
    table=table,
    measure=measure,
)
