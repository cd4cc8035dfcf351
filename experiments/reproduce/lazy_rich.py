"""What the figures of lazy and rich training share: delays, sweeps, panels, tables."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.harness import plots
from experiments.harness.family import Family
from experiments.reproduce import claims, drawing, first_losses
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset, Scale
from experiments.reproduce.runs import Runs

SEEDS = 3
NEVER = "(what never happens counts as later than all that does)"


@dataclasses.dataclass(frozen=True)
class Learned:
    """Levels at which a network counts as having learned its two sets."""

    kind: str
    """`loss` (below the levels) or `accuracy` (at them or above)."""
    train: float
    test: float

    def fitted(self, runs: Runs, arm: str) -> np.ndarray:
        """Updates until the training set is learned; infinity if never."""
        return self._first(runs, arm, "train", self.train)

    def generalised(self, runs: Runs, arm: str) -> np.ndarray:
        """Updates until the test set is learned; infinity if never."""
        return self._first(runs, arm, "test", self.test)

    def delay(self, runs: Runs, arm: str) -> np.ndarray:
        """Updates from one to the other; infinity if the network never generalises.

        It is not a number if the network generalises and never fits.
        """
        generalised, fitted = self.generalised(runs, arm), self.fitted(runs, arm)
        since = np.where(np.isinf(fitted), np.nan, fitted)
        return np.where(np.isinf(generalised), np.inf, generalised - since)

    def ratio(self, runs: Runs, arm: str) -> np.ndarray:
        """The updates to generalise over those to fit."""
        with np.errstate(invalid="ignore"):
            return self.generalised(runs, arm) / self.fitted(runs, arm)

    def _first(self, runs: Runs, arm: str, part: str, level: float) -> np.ndarray:
        metric = f"{part}_{self.kind}"
        if self.kind == "loss":
            return runs.first_below(arm, level, metric=metric)
        return runs.first_step(arm, level, metric=metric)

    def words(self, part: str) -> str:
        """The meaning of "learned", for a table."""
        level = getattr(self, part)
        name = "training" if part == "train" else part
        sign = "<" if self.kind == "loss" else "at"
        return f"{name} {self.kind} {sign} {level:g}"


SQUARES = Learned("loss", train=0.1, test=0.25)
"""Losses of the polynomial task; the zero network's test loss is .75."""
CLASSES = Learned("accuracy", train=0.95, test=0.95)
NORMS = {"weight_norm_ratio": "weight norm over initial"}
ALIGNMENTS = {"kernel_alignment": "kernel alignment"}


def risen(values: Sequence[np.ndarray]) -> np.ndarray:
    """Number of steps from one arm to the next in which a value grows, for each seed.

    Args:
      values: for each arm, by seed; infinity and infinity count as grown.
    """
    pairs = itertools.pairwise(values)
    return np.sum([(b > a) | (np.isinf(a) & np.isinf(b)) for a, b in pairs], axis=0)


def rising_claim(
    says: str,
    arms: Sequence[str],
    measure: Callable[[Runs, str], np.ndarray],
    *,
    paper: str = "",
    falling: bool = False,
) -> Claim:
    """A number grows (or falls) from each arm to the next."""
    ordered = list(reversed(arms)) if falling else list(arms)
    return Claim(
        says=f"{says}: of {len(arms) - 1} steps in the sweep, those that agree {NEVER}",
        measure=lambda runs: risen([measure(runs, arm) for arm in ordered]),
        at_least=len(arms) - 1,
        paper=paper,
    )


def final(runs: Runs, arm: str, metric: str = "test_loss") -> np.ndarray:
    """The last evaluation, for each seed."""
    return runs.late(arm, metric=metric, last=1)


def table(
    runs: Runs,
    preset: Preset,
    learned: Learned = SQUARES,
    *,
    columns: Mapping[str, Callable[[Runs, str], np.ndarray]] | None = None,
    arms: Mapping[str, str] | None = None,
) -> str:
    """When each arm fitted and generalised, and its test loss.

    Args:
      runs: the metrics.
      preset: of the figure.
      learned: the levels that count.
      columns: further columns, by their headings.
      arms: to show, and their labels; by default all.
    """
    own: dict[str, Callable[[Runs, str], np.ndarray]] = {
        learned.words("train"): learned.fitted,
        learned.words("test"): learned.generalised,
        "highest test loss": functools.partial(Runs.highest, metric="test_loss"),
        "final test loss": final,
        "weight norm at the end": functools.partial(final, metric="weight_norm_ratio"),
        **(columns or {}),
    }
    names = arms or {arm: arm for arm in preset.arms}
    rows = [
        (name, *(claims.spread(measure(runs, arm)) for measure in own.values()))
        for arm, name in names.items()
    ]
    return claims.table(("arm", *own), rows)


def losses(
    ax: Any,
    runs: Runs,
    arms: Mapping[str, str],
    kind: str = "loss",
    own_colors: Sequence[str] | None = None,
) -> None:
    """Training (dashed) and test losses or accuracies of some arms."""
    own_colors = own_colors or drawing.colors(len(arms))
    for (arm, label), color in zip(arms.items(), own_colors, strict=True):
        for part, own in (("train", ""), ("test", label)):
            steps, values = runs.curve(arm, f"{part}_{kind}")
            before = len(ax.lines)
            plots.line_with_spread(ax, steps, values, label=own, color=color)
            for line in ax.lines[before:]:
                line.set_linestyle("--" if part == "train" else "-")
                if part == "train":
                    line.set_linewidth(line.get_linewidth() * 0.7)
    ax.set(ylabel=f"{kind}, training dashed", xlabel="updates", xscale="log")


def draw(
    runs: Runs,
    arms: Mapping[str, str],
    *,
    panels: Mapping[str, str] | None = None,
    kinds: Sequence[str] = ("loss",),
    log_loss: bool = False,
    sweep: bool = False,
) -> Any:
    """Losses (or accuracies) of all arms in one panel, and a panel for each metric.

    Args:
      runs: the metrics.
      arms: what to draw, and its label.
      panels: further metrics, and their labels.
      kinds: `loss`, `accuracy` or both: a panel each.
      log_loss: whether losses are drawn on a logarithmic axis.
      sweep: whether arms and their colours are in an order.
    """
    panels = panels or {}
    own_colors = drawing.shades(len(arms)) if sweep else drawing.colors(len(arms))
    figure, axes = plots.figure(1, len(kinds) + len(panels), width=4.2, height=3.2)
    for ax, kind in zip(axes[0], kinds, strict=False):
        losses(ax, runs, arms, kind, own_colors)
        if kind == "loss" and log_loss:
            ax.set(yscale="log")
        else:
            ax.set_ylim(bottom=-0.03 if kind == "accuracy" else 0)
    for ax, (metric, label) in zip(axes[0, len(kinds) :], panels.items(), strict=True):
        drawing.panel(ax, runs, arms, metric=metric, own_colors=own_colors)
        ax.set(xlabel="updates", ylabel=label, xscale="log")
    drawing.legend(axes[0, -1], of=axes[0, 0])
    return figure


def draw_all(runs: Runs, preset: Preset, **options: Any) -> Any:
    """All arms by their own names; options are those of `draw`."""
    return draw(runs, {arm: arm for arm in preset.arms}, **options)


draw_classes = functools.partial(
    draw_all, kinds=("accuracy", "loss"), log_loss=True, panels=NORMS
)
"""Accuracies, losses and the weight norm of all arms."""


def table_with_ratio(learned: Learned) -> Callable[[Runs, Preset], str]:
    """The table of `learned`, with the updates to generalise over those to fit."""
    return functools.partial(
        table, learned=learned, columns={"test over training": learned.ratio}
    )


class Size(NamedTuple):
    """A scale of a figure."""

    settings: Mapping[str, Any]
    """Settings of all arms."""
    note: str = ""
    """Differences from the paper."""


def figure(
    name: str,
    title: str,
    family: Family[Any],
    arms_of: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    claims: tuple[Claim, ...],
    *,
    laptop: Size,
    paper: Size,
    draw: Callable[[Runs, Preset], Any],
    table: Callable[[Runs, Preset], str] | None = None,
    measure: Callable[[Preset], Mapping[str, Any]] | None = None,
    from_start: bool = False,
) -> Figure:
    """A figure with the same arms and claims at both scales.

    Args:
      name: as on the command line.
      title: what it claims.
      family: of its arms.
      arms_of: gives the arms, from the settings of a scale.
      claims: what must hold.
      laptop: the scale of that name.
      paper: likewise.
      draw: draws it.
      table: of results, if lines alone do not tell.
      measure: measures something once, beside the runs.
      from_start: whether to measure the initial networks' losses, for `first_losses`.
    """
    sizes: dict[Scale, Size] = {"laptop": laptop, "paper": paper}
    presets = {
        scale: Preset(
            arms=arms_of(size.settings),
            num_seeds=SEEDS,
            claims=claims,
            note=size.note,
        )
        for scale, size in sizes.items()
    }
    return Figure(
        name=name,
        title=title,
        family=family,
        presets=presets,
        draw=draw,
        table=table,
        measure=functools.partial(first_losses.measure, family)
        if from_start
        else measure,
    )
