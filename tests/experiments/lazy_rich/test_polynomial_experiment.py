"""A run by moments against one of units, optimizers, and the summary."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.polynomial import experiment
from experiments.lazy_rich.polynomial import outcomes as polynomial_outcomes
from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.training import Training

CONFIG = Config(
    dimension=8, num_train=20, width=12, epsilon=0.5, alpha=2.0, num_steps=60
)


def run(own, config, num_steps=60):
    """The measures after some steps."""
    hyper = hyperparameters(config)

    @jax.jit
    def whole(seed):
        state, fixed = own.init(seed, hyper)

        def step(state, _):
            return own.step(state, hyper, fixed), None

        state, _ = jax.lax.scan(step, state, length=num_steps)
        return own.evaluate(state, hyper, fixed)[1]

    return whole(jnp.uint32(config.seed))


@pytest.mark.slow
@pytest.mark.parametrize("center", [True, False])
def test_units_and_their_moments_train_alike(center):
    config = dataclasses.replace(CONFIG, center=center)
    by_moments = run(experiment.ByMoments(config), config)
    by_units = run(Training(config, experiment.Units(config)), config)
    assert by_moments["train_loss"] < 0.3
    assert by_moments.keys() == by_units.keys()
    for name, value in by_moments.items():
        np.testing.assert_allclose(
            value, by_units[name], rtol=1e-3, atol=1e-5, err_msg=name
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "momentum", "learning_rate": 0.2},
        {"optimizer": "adam", "learning_rate": 0.01},
        {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
        {"readouts": True},
    ],
)
def test_other_optimizers_and_readouts_train(changes):
    config = dataclasses.replace(CONFIG, **changes)
    own = experiment.experiment(config)
    assert isinstance(own, Training)
    start, end = run(own, config, 0), run(own, config, 200)
    assert end["train_loss"] < 0.5 * start["train_loss"]
    assert ("kernel_alignment" in end) != config.readouts


@pytest.mark.slow
def test_momentum_adds_up_to_gradient_descent():
    """At a rate smaller by 1 - momentum, once the sums have filled."""
    plain = dataclasses.replace(CONFIG, learning_rate=0.2)
    config = dataclasses.replace(
        CONFIG, optimizer="momentum", momentum=0.9, learning_rate=0.02
    )
    fast = run(experiment.experiment(config), config, 410)["train_loss"]
    slow = run(experiment.experiment(plain), plain, 400)["train_loss"]
    np.testing.assert_allclose(fast, slow, rtol=0.05)


def measures(num_steps=60, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return run(experiment.experiment(config), config, num_steps)


def test_labels_of_another_scale_are_another_alpha():
    """Targets y / α at α = 1 and the same rate: losses over their square are equal."""
    scaled = measures(alpha=1.0, label_scale=0.5)
    lazy = measures(alpha=2.0)
    assert lazy["train_loss"] < 0.3
    for name in ("train_loss", "test_loss", "test_linear", "weight_norm_ratio"):
        np.testing.assert_allclose(scaled[name], lazy[name], rtol=1e-3, err_msg=name)


@pytest.mark.slow
def test_units_report_losses_over_the_square_of_the_label_scale():
    config = dataclasses.replace(CONFIG, label_scale=0.5)
    by_units = run(Training(config, experiment.Units(config)), config)
    by_moments = measures(label_scale=0.5)
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(by_units[name], by_moments[name], rtol=1e-3)


@pytest.mark.slow
def test_the_whole_solution_in_small_weights_solves_the_task():
    uncentered = {"center": False, "weight_scale": 1e-3}
    solved, empty = (
        measures(0, solution_share=share, **uncentered) for share in (1.0, 0.0)
    )
    assert solved["test_loss"] < 1e-4
    np.testing.assert_allclose(empty["test_loss"], 0.75, rtol=1e-2)


def rows(losses, diverges=False):
    made = [
        {
            "step": 10 * (i + 1),
            "seed": 0,
            "train_loss": train,
            "test_loss": test,
            "weight_norm_ratio": 1.0 + i,
            "parameter_movement": 0.1 * i,
        }
        for i, (train, test) in enumerate(losses)
    ]
    if diverges:
        made[-1] |= {"train_loss": math.nan, "test_loss": math.inf}
    return made


def test_steps_are_those_of_the_first_evaluation_below():
    summary = outcomes.losses(rows([(0.6, 0.9), (0.2, 0.3), (0.1, 0.2), (0.05, 0.2)]))
    assert summary["steps_to_train_loss"] == {
        "0.5": 20,
        "0.25": 20,
        "0.1": 40,
        "0.01": None,
    }
    assert summary["steps_to_test_loss"]["0.25"] == 30
    assert summary["highest_test_loss"] == 0.9
    assert summary["final_weight_norm_ratio"] == 4


def test_accuracies_count_from_above_095():
    made = [
        {"step": 1, "train_accuracy": 0.95, "test_accuracy": 0.1},
        {"step": 2, "train_accuracy": 0.96, "test_accuracy": 0.2},
    ]
    assert outcomes.accuracies(made) == {
        "first_step_train_accuracy_95": 2,
        "first_step_test_accuracy_95": None,
        "final_train_accuracy": 0.96,
        "final_test_accuracy": 0.2,
    }


def test_what_became_of_a_run_in_words():
    fine = rows([(0.05, 0.2)])
    assert outcomes.in_words(fine, 10, 20, limit=None) == (
        "fitted at update 10, generalised at update 20"
    )
    assert outcomes.in_words(fine, 10, None, limit=None) == (
        "fitted at update 10, has not generalised (test loss 0.2)"
    )
    assert outcomes.in_words(fine, None, None, limit=None) == (
        "has not fitted its training set (loss 0.05)"
    )
    diverged = rows([(0.05, 0.2), (0, 0)], diverges=True)
    assert outcomes.in_words(diverged, 10, None, limit=2.5) == (
        "diverged at update 20: lower learning_rate (limit at first: 2.5)"
    )


@pytest.mark.slow
def test_a_summary_has_the_lazy_limit_and_says_where_that_diverges():
    made = rows([(0.05, 0.2)])
    summary = polynomial_outcomes.summarize(made, CONFIG)
    assert 0 < summary["lazy_train_loss"] < 0.75
    limit = summary["largest_lazy_learning_rate"]
    assert limit > CONFIG.learning_rate
    for changes in (
        *({"optimizer": "momentum"}, {"optimizer": "adam"}, {"center": False}),
        *({"readouts": True}, {"num_train": 4097}),
    ):
        # Not of a network that is trained in another way, nor of too large a kernel.
        other = dataclasses.replace(CONFIG, **changes)
        summary = polynomial_outcomes.summarize(made, other)
        assert summary["lazy_train_loss"] is summary["lazy_test_loss"] is None
    beyond = dataclasses.replace(CONFIG, learning_rate=2 * limit)
    made = rows([(0.05, 0.2), (0, 0)], diverges=True)
    summary = polynomial_outcomes.summarize(made, beyond)
    assert summary["lazy_test_loss"] is None
    assert f"limit at first: {limit:.3g}" in summary["outcome"]
