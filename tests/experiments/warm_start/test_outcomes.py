"""The outcome of a run, from rows made by hand."""

import pytest

from experiments.warm_start.config import Config
from experiments.warm_start.family import describe
from experiments.warm_start.outcomes import in_words, summarize


def rows(train, loss=0.5):
    return [
        {"step": 500 * i, "train_loss": loss, "train_accuracy": own}
        | {"test_accuracy": own, "num_rewarms": 0}
        for i, own in enumerate(train, start=1)
    ]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ([0.3, 0.9, 0.6, 0.7], "learned"),
        ([0.1, 0.12, 0.09, 0.1], "has not learned (train accuracy at chance)"),
        ([0.1, 0.1, 0.1, 0.5], "learned"),
        (
            [0.1, 0.9, 0.1, 0.5, 0.1, 0.1],
            "learned (train accuracy 0.90 at update 1000), collapsed at update 2500 "
            "(to chance)",
        ),
        ([0.9, 0.1, 0.7], "learned"),
        (
            [0.9, 0.1],
            "learned (train accuracy 0.90 at update 500), collapsed at update 1000 "
            "(to chance)",
        ),
    ],
)
def test_a_run_in_words(train, words):
    assert in_words(rows(train), Config()) == words


def test_a_run_that_diverges_in_words():
    own = [*rows([0.9]), *rows([0.1, 0.1], loss=float("nan"))[1:]]
    assert in_words(own, Config()) == "diverged at update 1000"


def test_the_end_is_the_last_evaluation():
    """Where the rate has come down: with few evaluations those before are far off."""
    config = Config(eval_every=14_000)  # once a phase
    own = [{**row, "step": 28 * row["step"]} for row in rows([0.3, 0.7])]
    entry = summarize(own, config)
    assert entry["final_test_accuracy"] == 0.7
    assert describe(entry, config).startswith(
        "test 0.300 before the last data, 0.700 at the end, train 0.700"
    )
