"""A study of our own: why does training collapse at a held norm, and what prevents it?

The setting of figure 2a in which most networks lose what they had learned with Adam's
usual second decay, 0.999. Each remedy is applied by itself.
"""

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

Settings = Mapping[str, Any]
LONG_MEMORY, SHORT_MEMORY = "β₂ 0.999", "β₂ 0.95"
CAP = "effective rate capped at 0.03"
CLIP = "updates clipped at a root mean square of 0.3"
PRECISE = "loss as in float64"
COSINE, COOL_DOWN = "cosine to 1e-4 at 3000", "cool-down, 1000 to 3000"
DIAGNOSED, CONTROL = (f"in detail: {own}" for own in (LONG_MEMORY, SHORT_MEMORY))
PROJECT_EVERY = 100
USUAL: Settings = {
    "adam_b2": 0.999,
    "project_every": PROJECT_EVERY,
    "weight_decay": 0.01,
}
MEMORIES: dict[str, Settings] = {
    LONG_MEMORY: {},
    "β₂ 0.98": {"adam_b2": 0.98},
    SHORT_MEMORY: {"adam_b2": 0.95},
}
REMEDIES: dict[str, Settings] = {
    "ε 1e-4": {"adam_eps": 1e-4},
    CLIP: {"max_update_rms": 0.3},
    CAP: {"max_elr": 0.03},
    COSINE: {"num_steps": 3000, "schedule": "cosine"},
    COOL_DOWN: {"num_steps": 3000, "cooldown_steps": 2000},
    PRECISE: {"precise_loss": True},
    "logits bounded by 20": {"max_logit": 20.0},
}
"""Remedies with the long memory. Cooled runs end at 1e-4, where nothing changes."""


def _arms(num_steps: int) -> dict[str, Config]:
    def arm(own: Settings, **detail: Any) -> Config:
        return Config(**{"num_steps": num_steps, **USUAL, **own, **detail})

    detail = {"num_steps": 1000, "eval_every": 5, "diagnose": True}
    return {
        DIAGNOSED: arm(MEMORIES[LONG_MEMORY], **detail),
        CONTROL: arm(MEMORIES[SHORT_MEMORY], **detail),
        **{own: arm(settings) for own, settings in (MEMORIES | REMEDIES).items()},
    }


MOST_LATE = 500
"""Updates before the end; runs that generalise later are not judged on staying."""


def share_generalised(runs: Runs, arm: str) -> np.ndarray:
    """The share of evaluations at .95 from the first at .99 on, for each seed.

    It is 0 for a seed that never reaches .99, and NaN if it does so only at the end.
    """
    steps, _ = runs.curve(arm, "test_accuracy")
    first = runs.first_step(arm, 0.99)
    late = np.isfinite(first) & (first > steps[-1] - MOST_LATE)
    return np.where(late, np.nan, runs.share_generalised(arm))


def lowest_after_memorising(runs: Runs, arm: str) -> np.ndarray:
    """The lowest training accuracy from the first evaluation at .9 on, for each seed.

    It is NaN if a seed never reaches .9.
    """
    steps, values = runs.curve(arm, "train_accuracy")
    first = runs.first_step(arm, 0.9, metric="train_accuracy")
    later = np.where(steps >= first[:, None], values, np.inf).min(axis=1)
    return np.where(np.isfinite(later), later, np.nan)


def largest_lag(runs: Runs, arm: str) -> np.ndarray:
    """The largest gradient over Adam's memory after the first projection, by seed.

    Before that the memory fills, and gradients are larger than it in any case.
    """
    steps, lag = runs.curve(arm, "gradient_over_memory")
    return lag[:, steps > PROJECT_EVERY].max(axis=1)


CLAIMS = (
    Claim(
        says=f"with {LONG_MEMORY} it loses what it had memorised: lowest training "
        "accuracy after the first of .9",
        measure=functools.partial(lowest_after_memorising, arm=LONG_MEMORY),
        at_most=0.5,
    ),
    Claim(
        says=f"with {SHORT_MEMORY} it does not",
        measure=functools.partial(lowest_after_memorising, arm=SHORT_MEMORY),
        at_least=0.9,
    ),
    Claim(
        says="there Adam's memory lags behind: the largest root of the mean of g²/v "
        "over a matrix, after the first projection",
        measure=functools.partial(largest_lag, arm=DIAGNOSED),
        at_least=3,
    ),
    Claim(
        says=f"with {SHORT_MEMORY} it does not lag: the same",
        measure=functools.partial(largest_lag, arm=CONTROL),
        at_most=3,
    ),
    *(
        Claim(
            says=f"with {remedy} it generalises: test accuracy at the end",
            measure=functools.partial(Runs.late, arm=remedy),
            at_least=0.95,
        )
        for remedy in (SHORT_MEMORY, CAP, CLIP)
    ),
    Claim(
        says=f"{PRECISE} does not help: test accuracy at the end",
        measure=functools.partial(Runs.late, arm=PRECISE),
        at_most=0.5,
    ),
    *(
        Claim(
            says=f"with {remedy} it stays: share of the evaluations at .95 or more, "
            "from the first at .99 on",
            measure=functools.partial(share_generalised, arm=remedy),
            at_least=0.95,
        )
        for remedy in (SHORT_MEMORY, CAP, CLIP)
    ),
)


def table(runs: Runs, preset: Preset) -> str:
    """A table of how many seeds generalise, when, and how many stay."""
    rows = []
    for arm, config in preset.arms.items():
        if config.diagnose:
            continue
        first = runs.first_step(arm, 0.99)
        share = share_generalised(runs, arm)
        lowest = lowest_after_memorising(runs, arm)
        rows.append(
            (
                arm,
                f"{np.isfinite(first).sum()} of {len(first)}",
                claims.spread(first, never=f">{config.num_steps}"),
                f"{(share >= 0.99).sum()} of {len(share)}",
                claims.spread(share),
                claims.spread(runs.late(arm)),
                f"{(lowest < 0.5).sum()} of {np.isfinite(lowest).sum()}",
            )
        )
    header = (
        "arm",
        "seeds that reach .99",
        "updates until then",
        "seeds that stay (99 % of the evaluations at .95)",
        "share of the evaluations at .95",
        "test accuracy at the end",
        "of those that memorise, lose half of it again",
    )
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws memories and remedies above, and the signs of one seed's collapse below."""
    figure, axes = plots.figure(2, 2, width=5.5, height=3.2)
    shown = (tuple(MEMORIES), (LONG_MEMORY, *REMEDIES))
    for ax, own in zip(axes[0], shown, strict=True):
        drawing.panel(ax, runs, {arm: arm for arm in own})
        ax.set(xlabel="updates", ylabel="test accuracy", ylim=(-0.03, 1.05))
        drawing.legend(ax)
    axes[0, 0].set(title="Adam's memory")
    axes[0, 1].set(title=f"remedies at {LONG_MEMORY}")
    for ax, metrics in zip(
        axes[1],
        (
            {
                "train_accuracy": "training accuracy",
                "dormant_fraction": "dormant ReLUs",
            },
            {
                "gradient_over_memory": "root of the mean of g²/v",
                "largest_relative_update": "largest relative update",
                "update_rms": "update over the rate",
            },
        ),
        strict=True,
    ):
        for (metric, label), color in zip(
            metrics.items(), drawing.colors(len(metrics)), strict=True
        ):
            steps, values = runs.curve(DIAGNOSED, metric)
            ax.plot(steps, values[0], color=color, label=label)
        ax.set(xlabel="updates", title=f"{LONG_MEMORY}, seed 0")
        ax.legend(frameon=False, fontsize="x-small")
    axes[1, 1].set(yscale="log", ylim=(1e-3, 1e3))
    return figure


FIGURE = Figure(
    name="nap/collapse",
    title="training at a held norm collapses where Adam's memory lags",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms=_arms(10_000),
            num_seeds=5,
            claims=CLAIMS,
            note="Projected at every 100th update, decay 0.01, learning rate 0.01, "
            "constant but in two arms. Remedies one at a time, all but those of β₂ "
            "with 0.999.",
        ),
        "paper": Preset(arms=_arms(100_000), num_seeds=5, claims=CLAIMS),
    },
    draw=draw,
    table=table,
)
