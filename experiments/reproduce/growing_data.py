"""Shared parts of the warm-start figures: arms by initial fraction, claims on gaps."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from experiments.reproduce import claims
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset, Scale, presets
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config
from experiments.warm_start.family import FAMILY

FRACTIONS = (0.1, 0.5, 1.0)
FEWER = (FRACTIONS[0], FRACTIONS[-1])
"""The fractions of a gap."""
SEEDS = 5
PAPER: dict[str, Any] = {"learning_rate": 1e-2, "eval_every": 100}
"""The paper's sizes, evaluated as often as in its figure 5. If it gives no rate for a
line, the rate is that of the laptop scale."""
LAPTOP: dict[str, Any] = {
    "batch_size": 100,
    "epochs_per_phase": 8,
    "learning_rate": 1e-2,
    "eval_every": 200,
}
"""The paper's images and network for 4000 updates a phase: two minutes a run on one
core."""
FASHION: dict[str, Any] = {
    "dataset": "fashion_mnist",
    "num_train_examples": 5000,
    "num_test_examples": 5000,
    "batch_size": 50,
    "epochs_per_phase": 10,
    "learning_rate": 1e-2,
    "eval_every": 100,
}
"""Settings without CIFAR-10: a tenth of the data, half a minute a run."""
FASHION_NOTE = (
    "5000 images of Fashion-MNIST instead of CIFAR-10, 10 epochs a phase instead of "
    "70, batches of 50 instead of 250. The paper's numbers are those of CIFAR-10, so "
    "differences between arms compare, not levels."
)


@dataclasses.dataclass(frozen=True)
class Size:
    """The sizes of a figure at one scale."""

    settings: Mapping[str, Any]
    """Settings of all arms; the settings of a line override them."""
    note: str = ""
    """Differences from the paper's sizes."""
    num_seeds: int = SEEDS
    fewer: bool = False
    """Whether a figure may leave fractions out."""


def _laptop_note(epochs: int, updates: str) -> str:
    return (
        f"{epochs} epochs a phase instead of 70, {updates} updates instead of 14,000, "
        "in batches of 100 instead of 250."
    )


SIZES: dict[Scale, Size] = {
    "laptop": Size(LAPTOP, _laptop_note(8, "4000"), fewer=True),
    "fashion": Size(FASHION, FASHION_NOTE, fewer=True),
    "paper": Size(PAPER),
}
SHORTER: dict[Scale, Size] = {
    **SIZES,
    "laptop": Size(
        {**LAPTOP, "epochs_per_phase": 4}, _laptop_note(4, "2000"), fewer=True
    ),
}
"""Sizes for figures of many arms: half as long on a laptop."""
IS_PROJECTED = {"free": False, "projected": True}
"""Whether the weights are projected, by the name of an arm's part."""
MARGIN = 0.005
"""The least median difference that counts, half a point. An accuracy on 10,000 images
has this standard error; differences are between pairs of runs on the same images."""


def name(line: str, fraction: float) -> str:
    """Names an arm."""
    return f"{line}, {fraction:.0%}"


def arms(
    lines: Mapping[str, Mapping[str, Any]],
    scale: Mapping[str, Any],
    fractions: Sequence[float] = FRACTIONS,
    more: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> dict[str, Config]:
    """Each line from each initial fraction, and some lines from more of them."""
    return {
        name(line, fraction): Config(
            **{**scale, **settings, "initial_fraction": fraction}
        )
        for line, settings in lines.items()
        for fraction in (*fractions, *more.get(line, ()))
    }


def final(runs: Runs, line: str, fraction: float) -> np.ndarray:
    """Test accuracy at the last evaluation, for each seed.

    Every schedule has decayed there; in short cycles, earlier evaluations are far from
    it.
    """
    return runs.late(name(line, fraction), last=1)


def gap(runs: Runs, line: str) -> np.ndarray:
    """Final test accuracy from all data minus that from a tenth of them, by seed."""
    least, most = FEWER
    return final(runs, line, most) - final(runs, line, least)


def gap_claim(
    line: str,
    says: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    paper: str,
) -> Claim:
    """Claims a bound on the gap of a line."""
    return Claim(
        says=f"{line}: {says}: final test accuracy from 100 % less that from 10 %",
        measure=lambda runs: gap(runs, line),
        at_least=at_least,
        at_most=at_most,
        paper=paper,
    )


def better_claim(better: str, worse: str, fraction: float, paper: str) -> Claim:
    """Claims that one line ends half a point above another, from the same fraction."""
    return Claim(
        says=f"{better} ends above {worse}, from {fraction:.0%}: difference of the "
        "final test accuracies",
        measure=lambda runs: (
            final(runs, better, fraction) - final(runs, worse, fraction)
        ),
        at_least=MARGIN,
        paper=paper,
    )


def table(runs: Runs, preset: Preset) -> str:
    """A table of each arm's accuracy when data arrive and at the end, and its norm."""
    rows = []
    for arm, config in preset.arms.items():
        change = config.num_steps - config.phase_steps
        norm = runs.late(arm, metric="weight_norm", last=1)
        rows.append(
            (
                arm,
                accuracies(runs.at(arm, change)),
                accuracies(runs.late(arm, last=1)),
                claims.spread(norm),
                claims.spread(runs.late(arm, metric="num_rewarms", last=1)),
            )
        )
    header = ("arm", "test accuracy before", "at the end", "weight norm", "re-warms")
    return claims.table(header, rows)


def accuracies(values: np.ndarray) -> str:
    """The median, the lowest and the highest accuracy, with three decimals."""
    return f"{np.median(values):.3f} [{values.min():.3f}, {values.max():.3f}]"


def figure(
    figure_name: str,
    title: str,
    lines: Mapping[str, Mapping[str, Any]],
    *,
    fractions: Sequence[float] = FRACTIONS,
    fewer_fractions: Sequence[float] | None = None,
    more: Mapping[str, Sequence[float]] = MappingProxyType({}),
    sizes: Mapping[Scale, Size] = SIZES,
    claims_of: Callable[[Mapping[str, Config]], tuple[Claim, ...]],
    draw: Callable[[Runs, Preset], Any],
    note: str = "",
    **options: Any,
) -> Figure:
    """Makes a figure with an arm for each line and initial fraction, at each scale.

    Args:
      figure_name: its name on the command line.
      title: its main claim.
      lines: settings of each line, at each scale.
      fractions: initial fractions.
      fewer_fractions: initial fractions of the sizes that have fewer.
      more: further fractions of some lines.
      sizes: sizes by scale.
      claims_of: makes the claims from the arms of a scale.
      draw: draws the figure.
      note: other differences from the paper's figure.
      **options: other fields of `Figure`.
    """

    def arms_of(size: Size) -> Mapping[str, Any]:
        fewer = fewer_fractions if size.fewer else None
        return arms(lines, size.settings, fewer or fractions, more)

    return Figure(
        name=figure_name,
        title=title,
        family=FAMILY,
        presets=presets(sizes, arms_of, claims_of, note),
        draw=draw,
        **{"table": table, **options},
    )
