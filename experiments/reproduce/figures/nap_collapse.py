"""A study of our own: why does training collapse at a held norm, and what prevents it?

Two settings with Adam's usual second decay, 0.999: one in which most networks lose all
they had learned, one in which they generalise and fall back now and then. Each remedy
is applied by itself.
"""

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

Settings = Mapping[str, Any]
LONG_MEMORY, SHORT_MEMORY = "β₂ 0.999", "β₂ 0.95"
CAP = "effective rate capped at 0.03"
CLIP = "updates clipped at a root mean square of 0.3"
PRECISE = "loss as in float64"
PLAIN, NORMS = "every 100th", "norms"
DIAGNOSED = f"{PLAIN}: {LONG_MEMORY}, in detail"
USUAL: Settings = {"adam_b2": 0.999}
REMEDIES: dict[str, Settings] = {
    LONG_MEMORY: {},
    "β₂ 0.98": {"adam_b2": 0.98},
    SHORT_MEMORY: {"adam_b2": 0.95},
    "ε 1e-4": {"adam_eps": 1e-4},
    CLIP: {"max_update_rms": 0.3},
    CAP: {"max_relative_update": 0.03},
    "cosine to 1e-4": {"schedule": "cosine"},
    PRECISE: {"precise_loss": True},
    "logits bounded by 20": {"max_logit": 20.0},
}
SETTINGS: dict[str, Settings] = {
    PLAIN: {"project_every": 100, "weight_decay": 0.01},
    NORMS: {"normalize": True, "scale_decay": 1.0},
}
LONG_RUN = (LONG_MEMORY, SHORT_MEMORY, CAP)
"""What is run in the second setting, in which runs are long."""


def name(setting: str, remedy: str) -> str:
    """Of an arm."""
    return f"{setting}: {remedy}"


def _arms(plain_steps: int, norms_steps: int) -> dict[str, Config]:
    def arm(setting: str, remedy: str, num_steps: int, **detail: Any) -> Config:
        own = {**USUAL, **SETTINGS[setting], **REMEDIES[remedy], **detail}
        return Config(num_steps=num_steps, **own)

    return {
        DIAGNOSED: arm(PLAIN, LONG_MEMORY, 500, eval_every=5, diagnose=True),
        **{name(PLAIN, own): arm(PLAIN, own, plain_steps) for own in REMEDIES},
        **{name(NORMS, own): arm(NORMS, own, norms_steps) for own in LONG_RUN},
    }


def share_generalised(runs: Runs, arm: str) -> np.ndarray:
    """Of the evaluations from the first at .99 on, the share at .95; 0 if none is."""
    steps, values = runs.curve(arm, "test_accuracy")
    first = runs.first_step(arm, 0.99)
    shares = [
        (own[steps >= start] >= 0.95).mean() if np.isfinite(start) else 0.0
        for own, start in zip(values, first, strict=True)
    ]
    return np.asarray(shares)


def lag_before_collapse(runs: Runs) -> np.ndarray:
    """The largest gradient over Adam's memory of it, until training is lost.

    Lost is half of the training accuracy that was reached; the start, in which the
    memory fills, is left out.
    """
    steps, accuracy = runs.curve(DIAGNOSED, "train_accuracy")
    _, lag = runs.curve(DIAGNOSED, "gradient_over_memory")
    largest = []
    for own, lags in zip(accuracy, lag, strict=True):
        highest = np.maximum.accumulate(own)
        lost = (own < highest / 2) & (highest > 0.2)
        end = lost.argmax() + 1 if lost.any() else len(own)
        largest.append(lags[:end][steps[:end] > 20].max())
    return np.asarray(largest)


def lowest_after_memorising(runs: Runs, arm: str) -> np.ndarray:
    """Of the training accuracy, from the first evaluation at .9 on; 0 if none is."""
    steps, values = runs.curve(arm, "train_accuracy")
    first = runs.first_step(arm, 0.9, metric="train_accuracy")
    lowest = [
        own[steps >= start].min() if np.isfinite(start) else 0.0
        for own, start in zip(values, first, strict=True)
    ]
    return np.asarray(lowest)


CLAIMS = (
    Claim(
        says=f"with {LONG_MEMORY} it loses what it had memorised: lowest training "
        "accuracy after the first of .9",
        measure=functools.partial(
            lowest_after_memorising, arm=name(PLAIN, LONG_MEMORY)
        ),
        at_most=0.5,
    ),
    Claim(
        says=f"with {SHORT_MEMORY} it does not",
        measure=functools.partial(
            lowest_after_memorising, arm=name(PLAIN, SHORT_MEMORY)
        ),
        at_least=0.9,
    ),
    Claim(
        says="and before that Adam's memory lags behind: the largest root of the mean "
        "of g²/v over a matrix, until training is lost (1 at rest)",
        measure=lag_before_collapse,
        at_least=3,
    ),
    *(
        Claim(
            says=f"with {remedy} it generalises: test accuracy at the end",
            measure=functools.partial(Runs.late, arm=name(PLAIN, remedy)),
            at_least=0.95,
        )
        for remedy in (SHORT_MEMORY, CAP, CLIP)
    ),
    Claim(
        says=f"{PRECISE} does not help: test accuracy at the end",
        measure=functools.partial(Runs.late, arm=name(PLAIN, PRECISE)),
        at_most=0.5,
    ),
    *(
        Claim(
            says=f"{NORMS}: {remedy}: share of the evaluations at .95 or more, from "
            "the first at .99 on",
            measure=functools.partial(share_generalised, arm=name(NORMS, remedy)),
            at_least=0.95,
        )
        for remedy in (SHORT_MEMORY, CAP)
    ),
)


def table(runs: Runs, preset: Preset) -> str:
    """How many seeds generalise, when, and how many stay."""
    rows = []
    for arm, config in preset.arms.items():
        if arm == DIAGNOSED:
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
                f"{(lowest < 0.5).sum()} of {len(lowest)}",
            )
        )
    header = (
        "arm",
        "seeds that reach .99",
        "updates until then",
        "seeds that stay (99 % of the evaluations at .95)",
        "share of the evaluations at .95",
        "test accuracy at the end",
        "seeds that lose half of the training set",
    )
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Above the remedies, below what precedes the collapse, one seed."""
    figure, axes = plots.figure(2, 2, width=5.5, height=3.2)
    for ax, setting in zip(axes[0], SETTINGS, strict=True):
        prefix = f"{setting}: "
        own = [arm for arm in preset.arms if arm.startswith(prefix)]
        labels = {a: a.removeprefix(prefix) for a in own if a != DIAGNOSED}
        drawing.panel(ax, runs, labels)
        ax.set(xlabel="updates", ylabel="test accuracy", ylim=(-0.03, 1.05))
    axes[0, 0].set(title="projected at every 100th update, decay .01")
    axes[0, 1].set(title="norms, scale decay 1, projected at every update")
    drawing.legend(axes[0, 1], of=axes[0, 0])
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
    runner=study,
    presets={
        "laptop": Preset(
            arms=_arms(3000, 10_000),
            num_seeds=5,
            claims=CLAIMS,
            note="Learning rate 0.01, constant but for the cosine; small position "
            "table. Remedies one at a time, all but those of β₂ with 0.999.",
        ),
        "paper": Preset(arms=_arms(20_000, 100_000), num_seeds=5, claims=CLAIMS),
    },
    draw=draw,
    table=table,
)
