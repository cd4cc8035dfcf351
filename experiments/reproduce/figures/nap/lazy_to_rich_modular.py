"""A study of our own: from lazy to rich on demand, modular addition.

The network is of degree 3 in its weights: c times the weights are c^3 times alpha. So
a free network whose norm grows makes itself lazier, and a projected one cannot.
"""

from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.modular.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import CLASSES, Size
from experiments.reproduce.lazy_to_rich import FREE, MEAN, PROJECTED, TANGENTIAL, Study

STUDY = Study(lazy="alpha = 4", rich="alpha = 0.5", learned=CLASSES)
SETTINGS = {STUDY.lazy: {"alpha": 4.0}, STUDY.rich: {"alpha": 0.5}}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return STUDY.arms(Config, SETTINGS, size)


CLAIMS = (
    *STUDY.claims(),
    Claim(
        says="what a free network of small alpha gains by its norm, a projected one "
        "lacks: training loss at the end, projected over free, at alpha = 0.5, mean "
        "rate",
        measure=lambda runs: (
            lazy_rich.final(runs, STUDY.name(STUDY.rich, PROJECTED, MEAN), "train_loss")
            / lazy_rich.final(runs, STUDY.name(STUDY.rich, FREE, MEAN), "train_loss")
        ),
        at_least=10,
    ),
    Claim(
        says="its norm grows: at the end over the initial one, free",
        measure=lambda runs: lazy_rich.final(
            runs, STUDY.name(STUDY.rich, FREE, MEAN), "weight_norm_ratio"
        ),
        at_least=1.3,
    ),
    Claim(
        says="asked after the first run: tangential gradients lower what a projected "
        "network of small alpha ends with: training loss with them over that without",
        measure=lambda runs: (
            lazy_rich.final(
                runs, STUDY.name(STUDY.rich, PROJECTED, TANGENTIAL), "train_loss"
            )
            / lazy_rich.final(
                runs, STUDY.name(STUDY.rich, PROJECTED, MEAN), "train_loss"
            )
        ),
        at_most=0.8,
    ),
)

SIZE: dict[str, Any] = {
    **{"center": False, "optimizer": "adam", "learning_rate": 1e-3},
    **{"num_steps": 4000, "eval_every": 50},
}

FIGURE = lazy_rich.figure(
    "nap/lazy_to_rich_modular",
    "does projection with re-warming move a lazy network on demand? Modular addition",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        SIZE,
        "Adam, uncentred, p = 23. The rate is .001; re-warmed, it is held for a "
        "quarter of the run and then peaks three times at .01.",
    ),
    paper=Size(SIZE | {"num_steps": 40_000, "eval_every": 200}),
    draw=STUDY.draw,
    table=STUDY.table,
)
