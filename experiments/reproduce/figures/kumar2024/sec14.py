"""Appendix 14 of Kumar et al. (2024): weight decay against laziness."""

from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.transformer.config import Config
from experiments.lazy_rich.transformer.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.figures.kumar2024.fig5b import PAPER, SMALL_NOTE
from experiments.reproduce.lazy_rich import CLASSES, Size

FIRST, DECAYED, LAZIER = (
    "alpha = 0.5, decay 1",
    "alpha = 0.5, decay 5",
    "alpha = 1.4, decay 5",
)
SETTINGS = {FIRST: (0.5, 1.0), DECAYED: (0.5, 5.0), LAZIER: (1.4, 5.0)}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {
        name: Config(alpha=alpha, weight_decay=decay, **size)
        for name, (alpha, decay) in SETTINGS.items()
    }


CLAIMS = (
    Claim(
        says=f"{FIRST} groks: updates from .95 of the training to .95 of the test "
        "pairs",
        measure=lambda runs: CLASSES.delay(runs, FIRST),
        at_least=100,
        paper="groks",
    ),
    Claim(
        says="more decay shortens the delay: with decay 5 over that with decay 1",
        measure=lambda runs: CLASSES.delay(runs, DECAYED) / CLASSES.delay(runs, FIRST),
        at_most=0.5,
        paper="vanishes",
    ),
    Claim(
        says="laziness brings it back: delay with alpha 1.4 over that with alpha .5, "
        "at decay 5",
        measure=lambda runs: CLASSES.delay(runs, LAZIER) / CLASSES.delay(runs, DECAYED),
        at_least=1.5,
        paper="comes back",
    ),
)

FIGURE = lazy_rich.figure(
    "kumar2024/sec14",
    "a transformer: weight decay shortens the delay, laziness brings it back",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size({"num_steps": 3000, "eval_every": 50}, SMALL_NOTE),
    paper=Size(PAPER),
    draw=lazy_rich.draw_classes,
    table=lazy_rich.table_with_ratio(CLASSES),
)
