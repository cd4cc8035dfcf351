"""Eigenvectors as labels: they are some, in both sets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.lazy_rich.eigenvector_labels.config import Config
from experiments.lazy_rich.eigenvector_labels.problem import Eigenvector
from experiments.lazy_rich.families import describe, in_words, summarize

CONFIG = Config(
    dimension=6, num_train=8, num_test=5, epsilon=0.5, width=4, eigenvector=1
)


@pytest.mark.parametrize("number", [1, 3, 13])
def test_labels_are_an_eigenvector_of_the_kernel_of_all_inputs(number):
    config = dataclasses.replace(CONFIG, eigenvector=number)
    train, test = Eigenvector(config).data(jax.random.key(0), hyperparameters(config))
    assert (len(train.targets), len(test.targets)) == (8, 5)
    inputs, labels = (np.concatenate(parts) for parts in zip(train, test, strict=True))
    inner = inputs @ inputs.T
    kernel = inner + 0.25 * inner**2
    values = np.linalg.eigvalsh(kernel)[::-1]
    np.testing.assert_allclose(kernel @ labels, values[number - 1] * labels, atol=1e-4)
    np.testing.assert_allclose(np.mean(labels**2), 1, rtol=1e-5)


def test_an_eigenvector_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="eigenvector=14: must be one of the 13 of"):
        dataclasses.replace(CONFIG, eigenvector=14)


def test_a_summary_without_accuracies_goes_by_loss():
    rows = [
        {
            **{"step": step, "seed": 0, "train_loss": 2 / step, "test_loss": 4 / step},
            **{"weight_norm_ratio": 1.5, "parameter_movement": 0.5},
        }
        for step in (5, 10, 20)
    ]
    summary = summarize(rows, CONFIG)
    assert in_words(rows, CONFIG) == "fitted at update 10, generalised at update 20"
    assert describe(summary, CONFIG) == "train 0.1, test 0.2, weight norm times 1.5"


@pytest.mark.thorough
def test_the_harder_to_align_the_later():
    """The paper's experiment: D = 100, 120 + 120 inputs, eigenvectors 1, 50 and 90."""
    from experiments.lazy_rich.training import Training

    times = []
    for number in (1, 50, 90):
        config = Config(eigenvector=number)
        own, hyper = Training(config, Eigenvector(config)), hyperparameters(config)

        @jax.jit
        def run(seed, own=own, hyper=hyper):
            state, fixed = own.init(seed, hyper)

            def step(state, _):
                measured = own.evaluate(state, hyper, fixed)[1]
                return own.step(state, hyper, fixed), measured["test_loss"]

            return jax.lax.scan(step, state, length=3000)[1]

        losses = np.asarray(run(jnp.uint32(0)))
        times.append(int(np.argmax(losses < 0.25)) if min(losses) < 0.25 else 3000)
    assert times == sorted(set(times))
