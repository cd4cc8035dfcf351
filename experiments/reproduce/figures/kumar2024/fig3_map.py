"""When it groks, over laziness and alignment: figure 3 of Kumar et al. as a map."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.lazy_rich.polynomial.config import Config
from experiments.reproduce import claims, drawing, lazy_rich, squares
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import SQUARES, Size
from experiments.reproduce.runs import Runs

ALPHAS = (0.25, 0.5, 1.0, 2.0, 4.0)
EPSILONS = (0.05, 0.1, 0.2, 0.4, 0.8)
DARK = 30
"""Updates below which a field of the map is too dark for black numbers."""


def name(alpha: float, epsilon: float) -> str:
    """Names an arm."""
    return f"alpha = {alpha:g}, epsilon = {epsilon:g}"


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(alpha, epsilon): Config(alpha=alpha, epsilon=epsilon, **size)
        for epsilon in EPSILONS
        for alpha in ALPHAS
    }


def delays(runs: Runs) -> np.ndarray:
    """Updates from fitting to generalising, shape (epsilons, alphas, seeds)."""
    return np.asarray(
        [
            [SQUARES.delay(runs, name(alpha, epsilon)) for alpha in ALPHAS]
            for epsilon in EPSILONS
        ]
    )


def agreeing(runs: Runs, axis: int) -> np.ndarray:
    """The share of neighbours on the map whose delay grows, along an axis, by seed."""
    values = np.moveaxis(delays(runs), axis, 0)
    if axis == 0:
        values = values[::-1]  # the smaller epsilon, the longer
    steps = len(values) - 1
    return lazy_rich.risen(list(values)).mean(axis=0) / steps


CLAIMS = (
    Claim(
        says="at any epsilon the delay grows with alpha: share of the steps that agree "
        f"{lazy_rich.NEVER}",
        measure=lambda runs: agreeing(runs, 1),
        at_least=0.95,
        paper="grows",
    ),
    Claim(
        says="at any alpha it grows as epsilon falls: the same share",
        measure=lambda runs: agreeing(runs, 0),
        at_least=0.95,
        paper="grows",
    ),
)


def table(runs: Runs, preset: Preset) -> str:
    """The delay, epsilon by alpha."""
    rows = [
        (f"{epsilon:g}", *(claims.spread(own) for own in line))
        for epsilon, line in zip(EPSILONS, delays(runs), strict=True)
    ]
    header = ("epsilon", *(f"alpha = {alpha:g}" for alpha in ALPHAS))
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """The median delay as a map, and every seed."""
    figure, axes = plots.figure(1, 2, width=5.0, height=3.6)
    seeds, ax = axes[0]
    values = delays(runs)
    drawing.seeds_by_group(
        seeds,
        {
            f"epsilon = {epsilon:g}": {
                f"alpha = {alpha:g}": np.where(np.isinf(own), np.nan, own)
                for alpha, own in zip(ALPHAS, line, strict=True)
            }
            for epsilon, line in zip(EPSILONS, values, strict=True)
        },
    )
    seeds.set(yscale="log", ylabel="updates from fitting to generalising")
    seeds.tick_params(axis="x", labelsize="x-small")
    # Of one that is infinite the median is not a number that can be drawn.
    middle = np.nan_to_num(np.median(values, axis=2), posinf=np.nan)
    ax.imshow(np.log10(np.maximum(middle, 1)), cmap="viridis", aspect="auto")
    for (row, column), own in np.ndenumerate(middle):
        text = "never" if np.isnan(own) else claims.number(own)
        color = "white" if own < DARK else "black"
        ax.text(column, row, text, ha="center", va="center", color=color)
    ax.grid(visible=False)
    ax.set_xticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
    ax.set_yticks(range(len(EPSILONS)), [f"{epsilon:g}" for epsilon in EPSILONS])
    ax.set(xlabel="alpha", ylabel="epsilon", title="the same, in the median")
    return figure


FIGURE = squares.figure(
    name="kumar2024/fig3_map",
    title="the delay over alpha and epsilon: the time to grok as a map",
    arms_of=_arms,
    claims=CLAIMS,
    laptop=Size(
        # The shortest delays are of a few updates.
        squares.LAPTOP
        | {"dimension": 30, "num_train": 150, "num_steps": 4000, "eval_every": 4},
        "D = 30, P = 150. Gradient descent on the centred network, computed for "
        "moments.",
    ),
    draw=draw,
    table=table,
)
