"""Figure 13 of Kumar et al. (2024): mean-field theory at other settings."""

from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.dmft.family import FAMILY
from experiments.reproduce import lazy_rich, mean_field
from experiments.reproduce.lazy_rich import Learned, Size

SETTINGS: dict[str, dict[str, Any]] = {
    "alpha = 0.5": {"alpha": 0.5, "time_step": 0.05},
    "alpha = 1": {},
    "alpha = 3": {"alpha": 3.0},
    "epsilon = 0.3": {"epsilon": 0.3, "time_step": 0.15},
    "alpha = 1, centred": {"center": True},
}
NAMES = tuple(SETTINGS)
LEARNED = Learned("loss", train=0.3, test=0.4)


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return {name: Config(**{**size, **own}) for name, own in SETTINGS.items()}


CLAIMS = (
    *mean_field.agrees(NAMES),
    lazy_rich.rising_claim(
        "the theory has the delay of laziness: updates from the training loss .3 to "
        "the test loss .4, alpha from 1 to 3",
        NAMES[1:3],
        LEARNED.delay,
        paper="longer",
    ),
)

FIGURE = lazy_rich.figure(
    "kumar2024/fig13",
    "more loss curves beside those of mean-field theory",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        {"num_samples": 3000, "num_replicas": 2},
        "P = 5 D, two units, 60 updates. Networks: 40 of D = 300.",
    ),
    paper=Size({"overlaps": (0.3, 0.1, 0.0, -0.2, 0.1), "num_steps": 50}),
    draw=mean_field.draw,
    table=mean_field.table,
    measure=mean_field.simulate,
)
