"""Figure 2, left, of Lyle et al. (2025): one projected arm, for longer."""

from typing import Any

import numpy as np

from experiments.grokking.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.figures.lyle2025 import fig2a as short
from experiments.reproduce.runs import Runs

LINE: short.Line = ("projected", 1e-2, 0.01)
NAME = short.name(*LINE)


def share_since_3000(runs: Runs) -> np.ndarray:
    """The share of the late evaluations at .95 or more, for each seed."""
    steps, values = runs.curve(NAME, "test_accuracy")
    return (values[:, steps >= 3000] >= 0.95).mean(axis=1)


def _preset(updates: int, num_seeds: int) -> Preset:
    return Preset(
        arms={
            NAME: short.arm(*LINE, num_steps=updates, warmup_steps=1000, eval_every=250)
        },
        num_seeds=num_seeds,
        claims=(
            Claim(
                says=f"{NAME}: test accuracy after 3000 updates",
                measure=lambda runs: runs.at(NAME, 3000),
                at_least=0.98,
                paper=".992",
            ),
            Claim(
                says=f"{NAME}: test accuracy at the end",
                measure=lambda runs: runs.late(NAME),
                at_least=0.98,
                paper=".996 (seeds .9991, .9971, .9925)",
            ),
            Claim(
                says=f"{NAME}: it stays there: share of the evaluations from 3000 on "
                "with a test accuracy of .95 or more",
                measure=share_since_3000,
                at_least=0.9,
                paper="1 (.995 at 20,000, .996 at 100,000)",
            ),
        ),
        note="Constant learning rate after a warm-up of 1000 updates; projected at "
        "every 100th update, as the paper's.",
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws test accuracy over updates."""
    figure, axes = plots.figure(1, 1, width=6.5)
    ax = axes[0, 0]
    drawing.panel(ax, runs, {NAME: NAME}, paper={NAME: short.PAPER[LINE]})
    drawing.log_updates(ax, smallest=100)
    ax.set(xlabel="updates", ylabel="test accuracy", xlim=(0, None), ylim=(-0.03, 1.05))
    drawing.legend(ax)
    return figure


FIGURE = Figure(
    name="lyle2025/fig2a_long",
    title="one projected arm of figure 2a, for longer: does it stay generalised?",
    family=FAMILY,
    presets={"laptop": _preset(20_000, 3), "paper": _preset(1_000_000, 3)},
    draw=draw,
)
