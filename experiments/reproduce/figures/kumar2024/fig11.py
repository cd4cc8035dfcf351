"""Figure 11 of Kumar et al. (2024): the test loss in its parts."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import drawing, first_losses, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import SQUARES
from experiments.reproduce.runs import Runs

ALPHAS = (0.25, 1.0, 4.0)
TERMS = {
    "test_loss": "test loss",
    "test_variance": "variance",
    "test_misalignment": "misalignment",
    "test_linear": "linear power",
}


def name(alpha: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}"


MIDDLE = name(1.0)


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(alpha): Config(alpha=alpha, epsilon=squares.EPSILON, **size)
        for alpha in ALPHAS
    }


def at_peak(runs: Runs, metric: str) -> np.ndarray:
    """A term where the test loss is highest, over what the loss has risen by then."""
    _, loss = runs.curve(MIDDLE, "test_loss")
    _, term = runs.curve(MIDDLE, metric)
    rows = np.arange(len(loss))
    peak = loss.argmax(axis=1)
    return term[rows, peak] / (loss[rows, peak] - first_losses.initial(runs, MIDDLE))


def halved(runs: Runs, arm: str, metric: str) -> np.ndarray:
    """The last update at which a term is at least half of its highest."""
    steps, term = runs.curve(arm, metric)
    high = term >= term.max(axis=1, keepdims=True) / 2
    return steps[len(steps) - 1 - high[:, ::-1].argmax(axis=1)].astype(float)


CLAIMS = (
    Claim(
        says="the rise of the test loss is linear power: linear power at the peak over "
        "what the loss has risen",
        measure=lambda runs: at_peak(runs, "test_linear"),
        at_least=0.9,
        paper="the peak is that of learning a linear function",
    ),
    Claim(
        says="the misalignment falls late: its half-life over the updates to the "
        "training loss .1",
        measure=lambda runs: (
            halved(runs, MIDDLE, "test_misalignment") / SQUARES.fitted(runs, MIDDLE)
        ),
        at_least=1,
        paper="late",
    ),
    Claim(
        says="and later than linear power: ratio of their half-lives",
        measure=lambda runs: (
            halved(runs, MIDDLE, "test_misalignment")
            / halved(runs, MIDDLE, "test_linear")
        ),
        at_least=1,
        paper="late, with the linear part",
    ),
    Claim(
        says="the norm is right long before the direction: half-life of the variance "
        "over that of the misalignment",
        measure=lambda runs: (
            halved(runs, MIDDLE, "test_variance")
            / halved(runs, MIDDLE, "test_misalignment")
        ),
        at_most=0.8,
    ),
)

table = functools.partial(
    lazy_rich.table,
    columns={
        f"half-life of the {TERMS[metric]}": functools.partial(halved, metric=metric)
        for metric in tuple(TERMS)[1:]
    },
)


def draw(runs: Runs, preset: Preset) -> Any:
    """The terms, a panel for each alpha."""
    figure, axes = plots.figure(1, len(ALPHAS), width=3.8, height=3.0)
    for ax, arm in zip(axes[0], preset.arms, strict=True):
        for (metric, label), color in zip(
            TERMS.items(), drawing.colors(len(TERMS)), strict=True
        ):
            plots.line_with_spread(
                ax, *runs.curve(arm, metric), label=label, color=color
            )
        steps, train = runs.curve(arm, "train_loss")
        ax.plot(steps, np.median(train, axis=0), "--", color="0.5", label="training")
        ax.set(title=arm, xlabel="updates", xscale="log")
        ax.set_ylim(bottom=0)
    axes[0, 0].set(ylabel="loss")
    drawing.legend(axes[0, -1])
    return figure


FIGURE = squares.figure(
    name="kumar2024/fig11",
    title="the test loss in its parts: linear power makes it rise, misalignment falls "
    "late",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=squares.FEWER,
    draw=draw,
    table=table,
    from_start=True,
)
