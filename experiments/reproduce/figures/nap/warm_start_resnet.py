"""A study of our own: the warm start of figure 4 with the paper's second network."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.reproduce import growing_data, growing_panels
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Scale
from experiments.reproduce.figures.lyle2025 import fig4
from experiments.warm_start.config import Config

RESNET: dict[str, Any] = {"model": "resnet18", "learning_rate": 1e-3}
SIZES: dict[Scale, growing_data.Size] = {
    "laptop": growing_data.Size(
        {**RESNET, "batch_size": 128, "epochs_per_phase": 1, "eval_every": 195},
        "1 epoch a phase instead of 70, in batches of 128 instead of 250, one seed.",
        num_seeds=1,
    ),
    "paper": growing_data.Size({**growing_data.PAPER, **RESNET, "eval_every": 500}),
}
METRICS = {
    metric: label for metric, label in fig4.METRICS.items() if metric != "update_norm"
}


def claims_of(arms: Mapping[str, Config]) -> tuple[Claim, ...]:
    """The claims: the directions of the differences in figure 4."""
    return (
        growing_data.gap_claim("free", "early data hinder", at_least=0.01, paper=""),
        growing_data.gap_claim("projected", "it catches up", at_most=0.01, paper=""),
        growing_data.better_claim("projected", "free", 0.1, ""),
    )


FIGURE: Figure = growing_data.figure(
    "nap/warm_start_resnet",
    "warm start with ResNet-18, projected or free",
    fig4.LINES,
    sizes=SIZES,
    fractions=growing_data.FEWER,
    claims_of=claims_of,
    draw=functools.partial(
        growing_panels.draw_lines, lines=fig4.LINES, metrics=METRICS
    ),
    note="The paper names the network in its appendix and shows no curve of it.",
)
