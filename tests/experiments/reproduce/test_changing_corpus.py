"""What the figures of continual pretraining measure, on curves made by hand."""

import numpy as np
import pytest

from experiments.reproduce import changing_corpus
from experiments.reproduce.changing_corpus import GRID, ONE_COSINE, REWARMED, TUNED
from experiments.reproduce.figures.nap import continual_pretraining as study
from experiments.reproduce.figures.nap import continual_pretraining_rates as rates
from experiments.reproduce.runs import Runs

CHANGE = 200


def curves(**metrics):
    """Runs of `arm`, evaluated at 100, 200, 300, 400, from the seeds' values."""
    seeds = range(len(next(iter(metrics.values()))))
    return Runs(
        {"arm": "arm", "seed": seed, "step": 100 * (index + 1)}
        | {name: values[seed][index] for name, values in metrics.items()}
        for seed in seeds
        for index in range(4)
    )


def test_what_is_forgotten_is_since_the_change():
    runs = curves(old_loss=[[3.0, 2.0, 2.5, 2.75], [3.0, 2.5, 2.5, 2.5]])
    np.testing.assert_allclose(study.forgotten(runs, "arm", CHANGE), [0.75, 0])


def test_both_corpora_count_when_a_rate_is_chosen():
    runs = curves(old_loss=[[4, 2, 9, 9]], new_loss=[[9, 9, 9, 3]])
    np.testing.assert_allclose(changing_corpus.mean_loss(runs, "arm", CHANGE), [2.5])


def test_the_delay_is_that_of_the_last_rewarm():
    last = [[-1, -1, 207, 207], [-1, -1, -1, -1], [150, 150, 150, 150]]
    runs = curves(last_rewarm_step=last)
    assert study.delay(runs, "arm", CHANGE).tolist() == [7, np.inf, -50]


def test_what_is_kept_is_at_equal_rates():
    # A tenth of the rate before the change, a twentieth after it.
    runs = curves(
        learning_rate=[[0.5, 0.1, 0.4, 0.2]],
        relative_update=[[0.05, 0.01, 0.02, 0.01]],
    )
    np.testing.assert_allclose(study.kept(runs, "arm", CHANGE), [0.5])


def test_the_rate_that_is_used_has_to_be_the_best():
    def loss(line, rate):
        best = study.RATES[line] if line != ONE_COSINE else GRID[0]
        return 2 + abs(np.log(rate / best))

    runs = Runs(
        {"arm": rates.arm_name(line, rate), "seed": 100, "step": step}
        | dict.fromkeys(("old_loss", "new_loss"), loss(line, rate))
        for line in TUNED
        for rate in GRID
        for step in (600, 1200)
    )
    for line in REWARMED.values():
        assert rates.best_rate(runs, line, 600).tolist() == [study.RATES[line]]
    assert rates.best_rate(runs, ONE_COSINE, 600).tolist() == [GRID[0]]


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_arms_differ_in_what_they_are_called(scale):
    arms = study.FIGURE.presets[scale].arms
    assert len(arms) == 11
    for name in study.OPTIMIZERS:
        signal, cusum = arms[REWARMED[name]], arms[study.DETECTED[name]]
        assert (signal.schedule, cusum.schedule) == ("signal", "cusum")
        assert (
            signal.learning_rate == cusum.learning_rate == study.RATES[REWARMED[name]]
        )
        assert signal.first == "code"
        assert (signal.weight_decay > 0) == (name == "AdamW")
    assert {arms[name].first for name in study.PROSE_FIRST.values()} == {"prose"}
    assert {config.num_steps for config in arms.values()} == {
        2 * next(iter(arms.values())).phase_steps
    }


def test_rates_are_chosen_by_a_seed_that_no_test_has():
    tuning = rates.FIGURE.presets["laptop"].seeds()
    assert not set(tuning) & set(study.FIGURE.presets["laptop"].seeds())
