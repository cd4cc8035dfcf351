"""The figure of a run of a classifier: accuracies, losses and the weight norm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.harness import plots

TRAIN_COLOR = "0.55"


def draw_classifier(rows: Sequence[dict[str, Any]], path: Path, *, title: str) -> None:
    """One panel each, a faint line for each seed.

    Args:
      rows: of one config.
      path: of the figure.
      title: of the first panel.
    """
    figure, axes = plots.figure(3, 1, width=7.0, height=2.6)
    accuracy, loss, norm = axes[:, 0]
    for ax, name in ((accuracy, "accuracy"), (loss, "loss")):
        for kind, label, color in (
            ("train", "training", TRAIN_COLOR),
            ("test", "test", plots.PALETTE[0]),
        ):
            steps, values = plots.by_group(rows, "step", f"{kind}_{name}")
            plots.line_with_spread(ax, steps, values, label=label, color=color)
    steps, ratios = plots.by_group(rows, "step", "weight_norm_ratio")
    plots.line_with_spread(norm, steps, ratios, label="", color=plots.PALETTE[0])
    for ax in (accuracy, loss, norm):
        ax.set_xscale("log")
    accuracy.set_ylim(-0.03, 1.05)
    loss.set_ylim(bottom=0)
    plots.label(accuracy, title=title, x="", y="accuracy")
    plots.label(loss, x="", y="loss")
    plots.label(norm, x="updates", y="weight norm\nover initial")
    plots.save(figure, path)
