"""What became of several runs, from rows made by hand."""

import math

import numpy as np

from experiments.detectors import curves
from experiments.detectors.streams import Streams
from experiments.harness import outcomes


def rows(arm, seed, losses):
    return [
        {"arm": arm, "seed": seed, "step": 50 * i, "train_loss": loss}
        for i, loss in enumerate(losses, start=1)
    ]


def test_the_first_loss_that_is_no_number_counts():
    assert outcomes.diverged_at(rows("a", 0, [1.0, 0.0])) is None
    for loss in (math.nan, math.inf, None):
        assert outcomes.diverged_at(rows("a", 0, [1.0, loss, 1.0, loss])) == 100


def test_runs_that_diverged_are_counted_and_the_first_is_named():
    each = outcomes.by_run(
        [
            *rows("low", 0, [1.0, 0.5]),
            *rows("high", 0, [1.0, math.nan]),
            *rows("high", 1, [math.inf, math.nan]),
        ]
    )
    steps = {run: outcomes.diverged_at(own) for run, own in each.items()}
    assert outcomes.sentence(steps) == (
        "Training: 2 of 3 runs diverged (high, seed 0, at update 100 and 1 more)."
    )
    del steps["high, seed 1"]
    assert outcomes.sentence(steps).endswith("(high, seed 0, at update 100).")
    del steps["high, seed 0"]
    assert outcomes.sentence(steps) == "Training: none of 1 runs diverged."


def test_curves_that_diverged_are_named():
    values = np.asarray([[1.0, 2.0, 3.0], [1.0, math.inf, math.nan]])
    kinds = {"new data": Streams("", values, 1)}
    assert curves.diverged(kinds) == {"new data, run 0": None, "new data, run 1": 1}
