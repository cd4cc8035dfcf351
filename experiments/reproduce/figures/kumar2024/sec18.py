"""Appendix 18 of Kumar et al. (2024): more data, harder labels."""

import functools
from collections.abc import Mapping
from typing import Any

from experiments.harness import plots
from experiments.lazy_rich.eigenvector_labels.config import Config
from experiments.lazy_rich.eigenvector_labels.family import FAMILY
from experiments.reproduce import claims, drawing, lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.lazy_rich import Learned, Size
from experiments.reproduce.runs import Runs

EIGENVECTORS = (30, 70, 90, 104)
SIZES = (80, 120, 200, 400)
LEARNED = Learned("loss", train=0.25, test=0.25)


def name(eigenvector: int, examples: int) -> str:
    """Names an arm."""
    return f"eigenvector {eigenvector}, P = {examples}"


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name(eigenvector, examples): Config(
            eigenvector=eigenvector, num_train=examples, **size
        )
        for eigenvector in EIGENVECTORS
        for examples in SIZES
    }


def of_data(examples: int) -> list[str]:
    """Arms from the easiest labels to the hardest."""
    return [name(eigenvector, examples) for eigenvector in EIGENVECTORS]


def of_labels(eigenvector: int) -> list[str]:
    """Arms from the least data to the most."""
    return [name(eigenvector, examples) for examples in SIZES]


CLAIMS = (
    Claim(
        says=f"with little data harder labels are not learned: {name(90, 80)}: final "
        "test loss (of the zero network: 1)",
        measure=lambda runs: lazy_rich.final(runs, name(90, 80)),
        at_least=0.9,
        paper="fails",
    ),
    lazy_rich.rising_claim(
        "with P = 120, the harder the labels, the longer the delay from the training "
        "to the test loss .25",
        of_data(120),
        LEARNED.delay,
        paper="longer",
    ),
    lazy_rich.rising_claim(
        "at eigenvector 90, the more data, the shorter the delay",
        of_labels(90),
        LEARNED.delay,
        falling=True,
        paper="shorter",
    ),
    *(
        Claim(
            says=f"with P = 400 eigenvector {eigenvector} is learned at once: updates "
            "from the training to the test loss .25",
            measure=functools.partial(LEARNED.delay, arm=name(eigenvector, 400)),
            at_most=100,
            paper="the curves move together",
        )
        for eigenvector in (30, 90)
    ),
)


def table(runs: Runs, preset: Preset) -> str:
    """The delay and the final test loss, eigenvector by number of examples."""
    rows = [
        (
            eigenvector,
            *(
                f"{claims.spread(LEARNED.delay(runs, arm))}; "
                f"{claims.spread(lazy_rich.final(runs, arm))}"
                for arm in of_labels(eigenvector)
            ),
        )
        for eigenvector in EIGENVECTORS
    ]
    return claims.table(
        ("eigenvector", *(f"P = {examples}: delay; test loss" for examples in SIZES)),
        rows,
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """A panel for each eigenvector, a colour for each number of examples."""
    figure, axes = plots.figure(1, len(EIGENVECTORS), width=3.4, height=3.0)
    for ax, eigenvector in zip(axes[0], EIGENVECTORS, strict=True):
        arms = {
            arm: f"P = {examples}"
            for arm, examples in zip(of_labels(eigenvector), SIZES, strict=True)
        }
        lazy_rich.losses(ax, runs, arms, own_colors=drawing.shades(len(arms)))
        ax.set(title=f"eigenvector {eigenvector}", yscale="log", ylim=(1e-2, 10))
    for ax in axes[0, 1:]:
        ax.set(ylabel="")
    drawing.legend(axes[0, -1])
    return figure


FIGURE = lazy_rich.figure(
    "kumar2024/sec18",
    "more data lets the network generalise on harder labels",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_steps": 3000},
        "D = 100, 120 examples to test. The paper gives no D for its grid.",
    ),
    paper=Size({"num_steps": 30_000, "width": 500}),
    draw=draw,
    table=table,
)
