"""How the rates of `nap/continual_pretraining` were chosen, by a seed of their own."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.continual_pretraining.config import Config
from experiments.continual_pretraining.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import changing_corpus, claims, drawing
from experiments.reproduce.changing_corpus import GRID, TUNED, TUNING_SEED, mean_loss
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset, Scale
from experiments.reproduce.figures.nap.continual_pretraining import RATES
from experiments.reproduce.growing_data import accuracies
from experiments.reproduce.runs import Runs


def arm_name(line: str, rate: float) -> str:
    """Names an arm."""
    return f"{line}, rate {rate:g}"


def best_rate(runs: Runs, line: str, change: int) -> np.ndarray:
    """The rate of the grid with the lowest mean loss, for each seed."""
    losses = [mean_loss(runs, arm_name(line, rate), change) for rate in GRID]
    return np.asarray(GRID)[np.argmin(losses, axis=0)]


def _claims(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    change = next(iter(arms.values())).phase_steps
    return tuple(
        Claim(
            says=f"{line}: the best rate is the one that is used, {RATES[line]:g}",
            measure=functools.partial(best_rate, line=line, change=change),
            at_least=RATES[line],
            at_most=RATES[line],
        )
        for line in TUNED
    )


def table(runs: Runs, preset: Preset) -> str:
    """Losses of each arm."""
    rows = []
    for name, config in preset.arms.items():
        at_change = runs.at(name, config.phase_steps, metric="old_loss")
        rows.append(
            (
                name,
                accuracies(at_change),
                accuracies(changing_corpus.final(runs, name, "new_loss")),
                accuracies(mean_loss(runs, name, config.phase_steps)),
            )
        )
    header = ("arm", "old corpus, at the change", "new corpus, at the end", "mean")
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """The mean loss over the rate, a curve for each line and a mark for each run."""
    figure, axes = plots.figure(1, 1, width=6.0, height=3.5)
    ax = axes[0, 0]
    change = next(iter(preset.arms.values())).phase_steps
    for line, color in zip(TUNED, plots.PALETTE, strict=False):
        losses = [mean_loss(runs, arm_name(line, rate), change) for rate in GRID]
        plots.line_with_spread(ax, GRID, np.transpose(losses), label=line, color=color)
        for rate, of_seeds in zip(GRID, losses, strict=True):
            ax.plot([rate] * len(of_seeds), of_seeds, "o", color=color, markersize=4)
    ax.set(xscale="log", xlabel="peak learning rate", ylabel="mean loss")
    drawing.legend(ax)
    return figure


def _preset(scale: Scale) -> Preset:
    arms = {
        arm_name(line, rate): changing_corpus.arm(
            {**settings, "learning_rate": rate}, scale
        )
        for line, settings in TUNED.items()
        for rate in GRID
    }
    return Preset(
        arms=arms,
        num_seeds=1,
        claims=_claims(arms),
        note=changing_corpus.NOTES[scale],
        first_seed=TUNING_SEED,
    )


FIGURE = Figure(
    name="nap/continual_pretraining_rates",
    title="how the rates of nap/continual_pretraining are chosen",
    family=FAMILY,
    presets={scale: _preset(scale) for scale in changing_corpus.SIZES},
    draw=draw,
    table=table,
)
