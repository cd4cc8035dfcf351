"""Outcomes of several runs, from rows made by hand."""

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


def test_a_run_whose_family_knows_its_loss_only():
    assert outcomes.in_words(rows("a", 0, [1.0, 0.5]), None) == "finished"
    own = rows("a", 0, [1.0, math.nan])
    assert outcomes.in_words(own, None) == "diverged at update 100"


def test_runs_that_failed_are_counted_and_the_first_is_named():
    became = {
        "low": "learned",
        "high, seed 0": "memorised at update 50, diverged at update 100",
        "high, seed 1": "diverged at update 50",
        "odd": "learned (0.9 at update 50), collapsed at update 150 (to chance)",
    }
    assert outcomes.sentence(became) == (
        "Training: 2 of 4 runs diverged (high, seed 0, at update 100 and 1 more); "
        "1 of 4 runs collapsed (odd, at update 150)."
    )
    del became["odd"], became["high, seed 1"]
    assert outcomes.sentence(became) == (
        "Training: 1 of 2 runs diverged (high, seed 0, at update 100)."
    )
    del became["high, seed 0"]
    assert outcomes.sentence(became) == (
        "Training: none of 1 runs diverged or collapsed."
    )


def test_curves_that_diverged_are_named():
    values = np.asarray([[1.0, 2.0, 3.0], [1.0, math.inf, math.nan]])
    kinds = {"new data": Streams("", values, 1)}
    assert curves.in_words(kinds) == {
        "new data, run 0": "finished",
        "new data, run 1": "diverged at update 1",
    }
