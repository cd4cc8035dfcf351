"""Does projection with re-warming move a lazy network to the rich regime on demand?

The studies of three tasks share a lazy and a rich setting, free and projected. They
have a constant rate, a rate that is re-warmed late, and a constant rate of the same
mean. The last also runs with gradients without their radial part; these arms were added
after the first run.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.reproduce import claims, drawing, lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.drawing import CONSTRAINTS
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import Learned
from experiments.reproduce.runs import Runs

FREE, PROJECTED = CONSTRAINTS
CONSTANT, REWARMED, MEAN = "constant", "re-warmed", "constant, mean rate"
TANGENTIAL = "constant, mean rate, tangential"
FACTOR = 10.0
NUM_CYCLES = 3
MEASURES = {
    "parameter_movement": "movement",
    "feature_covariance_change": "Δ_C",
    "activation_pattern_change": "Δ_A",
    "kernel_change": "kernel change",
    "kernel_rotation": "kernel rotation",
    "kernel_target_alignment": "alignment",
    "weight_norm_ratio": "weight norm",
}


@dataclasses.dataclass(frozen=True)
class Study:
    """The arms and claims of a task."""

    lazy: str
    """Name of the setting in which kernels hardly turn, such as `alpha = 10`."""
    rich: str
    """Name of the setting in which kernels turn."""
    learned: Learned
    """The levels that count as learned."""
    rates: tuple[str, ...] = (CONSTANT, REWARMED, MEAN, TANGENTIAL)
    """The rates at which each setting is trained."""

    def name(self, setting: str, constraint: str, rate: str) -> str:
        """Names an arm."""
        return f"{setting}, {constraint}, {rate}"

    def arms(
        self,
        config_class: type[Any],
        settings: Mapping[str, Mapping[str, Any]],
        size: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Each setting, free and projected, at each rate.

        Args:
          config_class: of the task.
          settings: what differs between the lazy and the rich one.
          size: what all arms share; the last three quarters of the updates are the
            cycles of the re-warmed arms.
        """
        return {
            self.name(setting, constraint, rate): config_class(
                **{**size, **own, **_rate(rate, size)},
                project=constraint == PROJECTED,
                diagnose=True,
            )
            for setting, own in settings.items()
            for constraint in CONSTRAINTS
            for rate in self._rates(constraint)
        }

    def claims(self) -> tuple[Claim, ...]:
        """The hypotheses, the same for every task, written before the runs."""

        def rotation(runs: Runs, arm: str) -> np.ndarray:
            return lazy_rich.final(runs, arm, "kernel_rotation")

        def ratio(
            says: str,
            measure: Callable[[Runs, str], np.ndarray],
            one: tuple[str, str, str],
            other: tuple[str, str, str],
            *,
            at_least: float | None = None,
            at_most: float | None = None,
        ) -> Claim:
            return Claim(
                says=says,
                measure=lambda runs: (
                    measure(runs, self.name(*one)) / measure(runs, self.name(*other))
                ),
                at_least=at_least,
                at_most=at_most,
            )

        def sooner(constraint: str) -> Claim:
            return ratio(
                f"{self.lazy}, {constraint}: re-warming makes it generalise sooner: "
                "updates with it over those at the constant rate",
                soon,
                (self.lazy, constraint, REWARMED),
                (self.lazy, constraint, CONSTANT),
                at_most=0.8,
            )

        soon = self.learned.generalised
        rewarmed = (self.lazy, PROJECTED, REWARMED)
        asked = (
            ratio(
                "the lazy setting is lazy: free, at the constant rate, kernel rotation "
                f"at {self.lazy} over that at {self.rich}",
                rotation,
                (self.lazy, FREE, CONSTANT),
                (self.rich, FREE, CONSTANT),
                at_most=0.5,
            ),
            ratio(
                f"{self.lazy}, projected: re-warming turns the kernel: its rotation "
                "over that at the constant rate",
                rotation,
                rewarmed,
                (self.lazy, PROJECTED, CONSTANT),
                at_least=2,
            ),
            sooner(PROJECTED),
            sooner(FREE),
            ratio(
                f"{self.lazy}, re-warmed: projected generalises no later than free: "
                "ratio of the updates",
                soon,
                rewarmed,
                (self.lazy, FREE, REWARMED),
                at_most=1,
            ),
        )
        if MEAN not in self.rates:
            return asked
        return (
            *asked,
            ratio(
                f"{self.lazy}, projected: it is the rate and not its cycles: kernel "
                "rotation re-warmed over that at a constant rate of that mean",
                rotation,
                rewarmed,
                (self.lazy, PROJECTED, MEAN),
                at_least=0.5,
                at_most=2,
            ),
        )

    def table(self, runs: Runs, preset: Preset) -> str:
        """When each arm fitted and generalised, and how far it moved."""
        test = f"test_{self.learned.kind}"
        rows = [
            (
                arm,
                claims.spread(self.learned.fitted(runs, arm)),
                claims.spread(self.learned.generalised(runs, arm)),
                claims.spread(lazy_rich.final(runs, arm, test)),
                *(
                    claims.spread(lazy_rich.final(runs, arm, metric))
                    for metric in MEASURES
                ),
            )
            for arm in preset.arms
        ]
        header = (
            "arm",
            self.learned.words("train"),
            self.learned.words("test"),
            f"test {self.learned.kind} at the end",
            *MEASURES.values(),
        )
        return claims.table(header, rows)

    def draw(self, runs: Runs, preset: Preset) -> Any:
        """A column for each setting and constraint, a colour for each rate."""
        columns = {
            f"{setting}, {constraint}": {
                self.name(setting, constraint, rate): rate
                for rate in self._rates(constraint)
            }
            for setting in (self.lazy, self.rich)
            for constraint in CONSTRAINTS
        }
        return draw_columns(runs, columns, f"test_{self.learned.kind}")

    def _rates(self, constraint: str) -> list[str]:
        """A free network has no use for tangential gradients."""
        return [
            rate for rate in self.rates if rate != TANGENTIAL or constraint == PROJECTED
        ]


def draw_columns(
    runs: Runs, columns: Mapping[str, Mapping[str, str]], metric: str
) -> Any:
    """Draws learning, rotation of kernels and weight norms in rows.

    Args:
      runs: the metrics.
      columns: by title, the arms and their labels; the last one has all labels.
      metric: of the first row.
    """
    rows = {
        metric: metric.replace("_", " "),
        "kernel_rotation": "kernel rotation",
        "weight_norm_ratio": "weight norm\nover initial",
    }
    figure, axes = plots.figure(len(rows), len(columns), width=3.2, height=2.2)
    for column, (title, arms) in enumerate(columns.items()):
        for row, (own, label) in enumerate(rows.items()):
            ax = axes[row, column]
            drawing.panel(ax, runs, arms, metric=own)
            if column == 0:
                ax.set(ylabel=label)
        axes[0, column].set_title(title, fontsize="small")
        axes[-1, column].set(xlabel="updates")
    for line in axes:
        drawing.same_heights(line)
    drawing.legend(axes[0, -1])
    return figure


def _rate(rate: str, size: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a rate; a cycle's mean is that of its two ends."""
    base, updates = size["learning_rate"], size["num_steps"]
    delay = updates // 4
    if rate == REWARMED:
        return {
            "num_rewarms": NUM_CYCLES,
            "rewarm_factor": FACTOR,
            "delay_steps": delay,
        }
    if rate in (MEAN, TANGENTIAL):
        share = delay / updates
        mean = share + (1 - share) * (1 + FACTOR) / 2
        return {"learning_rate": base * mean, "tangential": rate == TANGENTIAL}
    return {}
