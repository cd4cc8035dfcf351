"""A study of our own: from lazy to rich on demand, the small grokking transformer."""

from collections.abc import Mapping
from typing import Any

from experiments.lazy_rich.transformer.config import Config
from experiments.lazy_rich.transformer.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.lazy_rich import CLASSES, Size
from experiments.reproduce.lazy_to_rich import MEAN, PROJECTED, TANGENTIAL, Study

STUDY = Study(lazy="alpha = 8", rich="alpha = 0.5", learned=CLASSES)
SETTINGS = {STUDY.lazy: {"alpha": 8.0}, STUDY.rich: {"alpha": 0.5}}


def _arms(size: Mapping[str, Any]) -> dict[str, Config]:
    return STUDY.arms(Config, SETTINGS, size)


CLAIMS = (
    *STUDY.claims(),
    Claim(
        says=f"asked after the first run: {STUDY.rich}, projected, mean rate: final "
        "test accuracy with tangential gradients less that without",
        measure=lambda runs: (
            lazy_rich.final(
                runs, STUDY.name(STUDY.rich, PROJECTED, TANGENTIAL), "test_accuracy"
            )
            - lazy_rich.final(
                runs, STUDY.name(STUDY.rich, PROJECTED, MEAN), "test_accuracy"
            )
        ),
        at_least=0,
    ),
)

SIZE: dict[str, Any] = {
    **{"optimizer": "adam", "weight_decay": 0.0, "learning_rate": 1e-3},
    **{"num_steps": 1600, "eval_every": 50},
}

FIGURE = lazy_rich.figure(
    "nap/lazy_to_rich_transformer",
    "does projection with re-warming move a lazy network on demand? A transformer",
    FAMILY,
    _arms,
    CLAIMS,
    laptop=Size(
        SIZE | {"modulus": 23, "head_dim": 8, "mlp_dim": 64},
        "Adam without decay, p = 23, width 32, MLP of 64, 75 % of the pairs. The rate "
        "is .001; re-warmed, it is held for a quarter of the run and then peaks three "
        "times at .01.",
    ),
    paper=Size(
        SIZE
        | {
            **{"modulus": 113, "train_fraction": 0.3, "head_dim": 32, "mlp_dim": 512},
            **{"num_steps": 20_000, "eval_every": 500},
        }
    ),
    draw=STUDY.draw,
    table=STUDY.table,
)
