"""Figure 8 of Lyle et al. (2025): the rank of the attention's output while grokking."""

import functools
from typing import Any

import numpy as np

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

PLAIN = "no normalisation layers"
DECAY = "normalisation layers, scale decay 1"
NO_DECAY = "normalisation layers, no scale decay"
GENERALISE = (PLAIN, DECAY)
RANK = "attention_output_rank"
# Evaluations of a drop of the rank: between two successive ones it is only noise.
WINDOW = 4


def _arms(
    plain_steps: int, normalized_steps: int, **settings: Any
) -> dict[str, Config]:
    normalized = Config(num_steps=normalized_steps, normalize=True, **settings)
    return {
        PLAIN: Config(num_steps=plain_steps, **settings),
        DECAY: Config(
            num_steps=normalized_steps, normalize=True, scale_decay=1.0, **settings
        ),
        NO_DECAY: normalized,
    }


def lag(runs: Runs, arm: str) -> np.ndarray:
    """Updates between test accuracy .5 and the middle of the rank's steepest drop."""
    steps, ranks = runs.curve(arm, RANK)
    drops = ranks[:, :-WINDOW] - ranks[:, WINDOW:]
    middles = (steps[:-WINDOW] + steps[WINDOW:]) / 2
    return np.abs(middles[drops.argmax(axis=1)] - runs.first_step(arm, 0.5))


def correlation(runs: Runs, arm: str) -> np.ndarray:
    """Correlation of rank and test accuracy over each seed's evaluations."""
    pairs = zip(
        runs.curve(arm, RANK)[1], runs.curve(arm, "test_accuracy")[1], strict=True
    )
    return np.asarray([np.corrcoef(rank, accuracy)[0, 1] for rank, accuracy in pairs])


def kept(runs: Runs, arm: str) -> np.ndarray:
    """The rank at the end as a share of its highest."""
    return runs.late(arm, metric=RANK) / runs.highest(arm, metric=RANK)


def _claims(most_lag: int) -> tuple[Claim, ...]:
    each = [
        claim
        for arm in GENERALISE
        for claim in (
            Claim(
                says=f"{arm}: the effective rank drops when it generalises: updates "
                "between test accuracy .5 and the steepest drop",
                measure=functools.partial(lag, arm=arm),
                at_most=most_lag,
            ),
            Claim(
                says=f"{arm}: correlation of rank and test accuracy",
                measure=functools.partial(correlation, arm=arm),
                at_most=-0.7,
            ),
            Claim(
                says=f"{arm}: rank at the end over its highest",
                measure=functools.partial(kept, arm=arm),
                at_most=0.5,
            ),
        )
    ]
    return (
        *each,
        Claim(
            says=f"{NO_DECAY}: it does not generalise: highest test accuracy",
            measure=lambda runs: runs.highest(NO_DECAY),
            at_most=0.3,
        ),
        Claim(
            says=f"{NO_DECAY}: and its rank stays: at the end over its highest",
            measure=functools.partial(kept, arm=NO_DECAY),
            at_least=0.7,
        ),
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws accuracy above and both ranks below, with a column for each arm."""
    figure, axes = plots.figure(3, len(preset.arms), width=4.0, height=2.4)
    rows = {
        "test_accuracy": "test accuracy",
        RANK: "effective rank",
        "attention_output_stable_rank": "stable rank",
    }
    for column, arm in enumerate(preset.arms):
        for row, (metric, label) in enumerate(rows.items()):
            ax = axes[row, column]
            drawing.panel(ax, runs, {arm: ""}, metric=metric)
            for step in runs.first_step(arm, 0.5):
                if np.isfinite(step):
                    ax.axvline(step, color="0.6", linestyle=":", linewidth=1)
            ax.set(ylabel=label if column == 0 else "", ylim=(0, None))
        axes[0, column].set(title=arm, ylim=(-0.03, 1.05))
        axes[-1, column].set(xlabel="updates (dotted: .5 on test)")
    return figure


FIGURE = Figure(
    name="lyle2025/fig8",
    title="the rank of the attention's output drops when the network generalises",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms=_arms(1000, 2500, eval_every=25),
            num_seeds=3,
            claims=_claims(most_lag=150),
            note="Rank of the attention block's output at the read-out token, after "
            "W_O, on about 500 training pairs. Projected, learning rate 0.01. The "
            "paper's figure has no numbers that could be read.",
        ),
        "paper": Preset(
            arms=_arms(
                1_000_000,
                1_000_000,
                eval_every=1000,
                warmup_steps=1000,
                schedule="cosine",
            ),
            num_seeds=3,
            claims=_claims(most_lag=5000),
        ),
    },
    draw=draw,
)
