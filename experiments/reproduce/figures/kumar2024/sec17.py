"""Appendix 17 of Kumar et al. (2024): accuracy is what a threshold makes of a loss."""

from collections.abc import Mapping
from typing import Any

from experiments.harness import plots
from experiments.lazy_rich.student_teacher.config import Config
from experiments.reproduce import drawing, first_losses, lazy_rich, students
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import CLASSES
from experiments.reproduce.runs import Runs

TOLERANCES = (3e-4, 1e-3, 1e-2, 1e-1)


def name(tolerance: float) -> str:
    """Names an arm."""
    return f"right within {tolerance:g}"


NAMES = tuple(map(name, TOLERANCES))


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(tolerance): Config(tolerance=tolerance, **size) for tolerance in TOLERANCES
    }


CLAIMS = (
    Claim(
        says="right within .001, it groks in accuracy: updates to .95 of the test over "
        "those to .95 of the training examples",
        measure=lambda runs: CLASSES.ratio(runs, name(1e-3)),
        at_least=5,
        paper="apparent grokking",
    ),
    Claim(
        says="right within .1, the same runs do not: the same ratio",
        measure=lambda runs: CLASSES.ratio(runs, name(1e-1)),
        at_most=1.5,
        paper="none for other thresholds",
    ),
    lazy_rich.rising_claim(
        "the wider the tolerance, the shorter the delay",
        NAMES,
        CLASSES.delay,
        falling=True,
    ),
    Claim(
        says="the test loss never rises: its highest value over the initial one",
        measure=lambda runs: first_losses.rise(runs, name(1e-3)),
        at_most=1.01,
        paper="unremarkable",
    ),
)


def draw(runs: Runs, preset: Preset) -> Any:
    """Accuracies by tolerance, and the losses, which are the same in all arms."""
    figure, axes = plots.figure(1, 2, width=4.6, height=3.2)
    arms = {arm: arm for arm in preset.arms}
    shades = drawing.shades(len(arms))
    lazy_rich.losses(axes[0, 0], runs, arms, "accuracy", shades)
    lazy_rich.losses(axes[0, 1], runs, {NAMES[0]: "of all"})
    axes[0, 0].set_ylim(-0.03, 1.05)
    axes[0, 1].set(yscale="log")
    drawing.legend(axes[0, 1], of=axes[0, 0])
    return figure


FIGURE = students.figure(
    name="kumar2024/sec17",
    title="accuracies of a regression: the threshold makes them grok, or not",
    arms_of=_arms,
    claims=CLAIMS,
    draw=draw,
    table=lazy_rich.table_with_ratio(CLASSES),
    from_start=True,
)
