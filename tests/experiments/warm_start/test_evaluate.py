"""What an evaluation logs, against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.task import Arrays
from helpers.checkout.image_files import TINY, make_images
from nap_optax import metrics

NUM_STEPS = 2  # of the first phase, in which half of the examples are there

pytestmark = pytest.mark.slow  # for the network of the fixture


@pytest.fixture(scope="module")
def evaluated():
    """The parameters before and after the last update, the state, the results."""
    images = make_images()
    arrays = Arrays(*map(jnp.asarray, (*images.train, *images.test)))
    experiment, hyper = Experiment(TINY), hyperparameters(TINY)
    start, split = experiment.init(jnp.asarray(0), hyper, arrays)
    state = start
    step, evaluate = jax.jit(experiment.step), jax.jit(experiment.evaluate)
    before = state
    for _ in range(NUM_STEPS):
        before, state = state, step(state, hyper, split, arrays)
    after, results = evaluate(state, hyper, split, arrays)

    def forward(params, images):
        model = experiment._model(params)
        logits, features = model.logits_and_features(experiment._inputs(images))
        return np.asarray(logits), np.asarray(features["hidden"])

    fixed = arrays.train_images[split.rows]
    return {
        "before": before,
        "state": state,
        "after": after,
        "results": results,
        "fixed": forward(state.params, fixed),
        "reference": forward(start.params, fixed),
        "test": forward(state.params, arrays.test_images),
        "labels": np.asarray(split.labels),
        "test_labels": np.asarray(arrays.test_labels),
    }


def test_accuracies_are_shares_of_right_answers(evaluated):
    results, there = evaluated["results"], TINY.num_train // 2
    assert results["num_available"] == there
    right = evaluated["fixed"][0].argmax(-1) == evaluated["labels"]
    assert 0 < right[:there].mean() < 1
    assert right[:there].mean() != right.mean()
    np.testing.assert_allclose(results["train_accuracy"], right[:there].mean())
    right = evaluated["test"][0].argmax(-1) == evaluated["test_labels"]
    assert 0 < right.mean() < 1
    np.testing.assert_allclose(results["test_accuracy"], right.mean())


def test_the_loss_is_the_mean_since_the_evaluation_before(evaluated):
    state, after = evaluated["state"], evaluated["after"]
    assert state.num_losses == NUM_STEPS
    expected = float(state.loss_sum) / NUM_STEPS
    np.testing.assert_allclose(evaluated["results"]["train_loss"], expected)
    assert (after.loss_sum, after.num_losses) == (0, 0)


def test_changes_are_those_of_the_last_hidden_layer(evaluated):
    results, features = evaluated["results"], evaluated["fixed"][1]
    reference = evaluated["reference"][1]
    flipped = np.abs((features > 0).astype(float) - (reference > 0)).mean()
    assert flipped > 0
    np.testing.assert_allclose(results["activation_pattern_change"], flipped)
    expected = metrics.feature_covariance_change(reference, features)
    np.testing.assert_allclose(
        results["feature_covariance_change"], expected, rtol=1e-4
    )
    score = np.abs(features).mean(0)
    dormant = np.mean(score / score.mean() <= 0.025)
    np.testing.assert_allclose(results["dormant_fraction"], dormant, atol=1e-6)
    np.testing.assert_allclose(evaluated["after"].reference, features, atol=1e-5)


def test_norms_are_those_of_all_matrices(evaluated):
    results = evaluated["results"]

    def matrices(state):
        leaves = jax.tree.leaves(state.params)
        return np.concatenate([np.ravel(leaf) for leaf in leaves if leaf.ndim >= 2])

    new, old = matrices(evaluated["state"]), matrices(evaluated["before"])
    np.testing.assert_allclose(results["weight_norm"], np.linalg.norm(new), rtol=1e-5)
    np.testing.assert_allclose(
        results["update_norm"], np.linalg.norm(new - old), rtol=1e-3
    )
