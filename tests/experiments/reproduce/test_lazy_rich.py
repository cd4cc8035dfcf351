"""When a network has learned, and sweeps in which that grows."""

import numpy as np
import pytest

from experiments.reproduce import claims, lazy_rich, lazy_to_rich, mean_field
from experiments.reproduce.figures.kumar2024 import fig3_map, fig11
from experiments.reproduce.figures.nap import lazy_to_rich as polynomial
from experiments.reproduce.lazy_rich import CLASSES, SQUARES
from experiments.reproduce.runs import Runs


def runs(**arms):
    """Of one seed each: values of both losses at steps 10, 20, …"""
    return Runs(
        {"arm": arm, "seed": 0, "step": 10 * (i + 1)}
        | {"train_loss": train, "test_loss": test}
        for arm, values in arms.items()
        for i, (train, test) in enumerate(values)
    )


GROKS = [(0.5, 0.8), (0.09, 0.9), (0.05, 0.5), (0.01, 0.2)]
FITS = [(0.5, 0.8), (0.09, 0.9), (0.05, 0.5), (0.01, 0.3)]
NEITHER = [(0.5, 0.8), (0.4, 0.9), (0.3, 0.5), (0.2, 0.3)]


def test_a_delay_is_from_fitting_to_generalising():
    made = runs(groks=GROKS, fits=FITS, neither=NEITHER)
    np.testing.assert_array_equal(SQUARES.fitted(made, "groks"), [20])
    np.testing.assert_array_equal(SQUARES.generalised(made, "groks"), [40])
    np.testing.assert_array_equal(SQUARES.delay(made, "groks"), [20])
    np.testing.assert_array_equal(SQUARES.ratio(made, "groks"), [2])
    np.testing.assert_array_equal(SQUARES.delay(made, "fits"), [np.inf])
    np.testing.assert_array_equal(SQUARES.delay(made, "neither"), [np.inf])
    assert np.isnan(SQUARES.ratio(made, "neither")).all()


def test_a_loss_counts_from_below_its_level_and_an_accuracy_from_it():
    made = runs(at=[(0.1, 0.25), (0.0, 0.0)])
    np.testing.assert_array_equal(SQUARES.fitted(made, "at"), [20])
    accuracies = Runs(
        {"arm": "at", "seed": 0, "step": step, "train_accuracy": value}
        for step, value in ((10, 0.94), (20, 0.95))
    )
    np.testing.assert_array_equal(CLASSES.fitted(accuracies, "at"), [20])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], 2),
        ([1, 2, 2], 1),
        ([1, 2, np.inf], 2),
        ([1, np.inf, np.inf], 2),
        ([np.inf, 1], 0),
    ],
)
def test_steps_of_a_sweep_that_grow(values, expected):
    got = lazy_rich.risen([np.asarray([value], float) for value in values])
    np.testing.assert_array_equal(got, [expected])


def test_a_falling_sweep_is_read_from_its_end():
    made = runs(first=GROKS, second=FITS)
    for falling, holds in ((False, True), (True, False)):
        claim = lazy_rich.rising_claim(
            "", ("first", "second"), SQUARES.delay, falling=falling
        )
        assert claims.judge(claim, made).holds == holds


def test_half_lives_end_with_the_last_high_value():
    made = Runs(
        {"arm": "a", "seed": 0, "step": 10 * (i + 1), "term": value}
        for i, value in enumerate([0.9, 1.0, 0.4, 0.6, 0.2])
    )
    np.testing.assert_array_equal(fig11.halved(made, "a", "term"), [40])


def test_the_map_counts_along_both_axes():
    delay = {
        fig3_map.name(alpha, epsilon): round(100 * alpha / epsilon)
        for alpha in fig3_map.ALPHAS
        for epsilon in fig3_map.EPSILONS
    }
    made = Runs(
        {"arm": arm, "seed": 0, "step": step, "train_loss": 0.0}
        | {"test_loss": 0.0 if step >= 1 + own else 1.0}
        for arm, own in delay.items()
        for step in (1, 1 + own)
    )
    for axis in (0, 1):
        np.testing.assert_array_equal(fig3_map.agreeing(made, axis), [1])


def test_the_mean_rate_is_that_of_the_rewarmed_arm():
    arms = polynomial.FIGURE.presets["laptop"].arms
    study = polynomial.STUDY
    cycles, mean = (
        arms[study.name(study.lazy, lazy_to_rich.PROJECTED, rate)]
        for rate in (lazy_to_rich.REWARMED, lazy_to_rich.MEAN)
    )
    base, high = cycles.learning_rate, cycles.rewarm_factor * cycles.learning_rate
    rest = cycles.num_steps - cycles.delay_steps
    path = cycles.delay_steps * base + rest * (base + high) / 2
    np.testing.assert_allclose(mean.learning_rate * mean.num_steps, path, rtol=1e-6)
    assert cycles.project
    assert mean.num_rewarms == 0


def test_the_distance_of_theory_and_networks_is_relative_and_at_the_same_steps():
    made = Runs(
        (
            {"arm": "arm", "seed": seed, "step": step, "test_loss": loss}
            for seed, losses in ((0, (3.0, 4.0)), (1, (6.0, 8.0)))
            for step, loss in zip((1, 3), losses, strict=True)
        ),
        {"simulated": {"arm": {"test_loss": [9.0, 3.0, 9.0, 4.0]}}},
    )
    got = mean_field.distance(made, "arm", "test_loss")
    np.testing.assert_allclose(got, [0, 1])
