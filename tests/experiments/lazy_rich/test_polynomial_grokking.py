"""The claims about the polynomial task that the page's tables are made of."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.members import hyperparameters
from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.polynomial.experiment import ByMoments

pytestmark = pytest.mark.thorough
SEEDS = (0, 1, 2)
EVAL_EVERY = 10


@functools.cache
def curves(alpha, epsilon=0.1):
    """Measures of all seeds, each (seeds, evaluations)."""
    config, num_steps = Config(), 8000 if alpha > 4 else 4000
    experiment = ByMoments(config)
    hyper = hyperparameters(dataclasses.replace(config, alpha=alpha, epsilon=epsilon))

    @jax.jit
    def run(hyper, seed):
        flow, fixed = experiment.init(seed, hyper)

        def chunk(flow, _):
            flow, _ = jax.lax.scan(
                lambda flow, _: (experiment.step(flow, hyper, fixed), None),
                flow,
                length=EVAL_EVERY,
            )
            return experiment.evaluate(flow, hyper, fixed)

        return jax.lax.scan(chunk, flow, length=num_steps // EVAL_EVERY)[1]

    found = [run(hyper, jnp.uint32(seed)) for seed in SEEDS]
    return {name: np.stack([own[name] for own in found]) for name in found[0]}


def first_below(losses, threshold):
    """Of each seed, the first evaluated step."""
    assert np.all(np.min(losses, axis=1) < threshold)
    return EVAL_EVERY * (np.argmax(losses < threshold, axis=1) + 1)


def times(alpha):
    found = curves(alpha)
    fitted = first_below(found["train_loss"], 0.1)
    return fitted, first_below(found["test_loss"], 0.25)


@pytest.mark.parametrize(("alpha", "ratio"), [(1.0, 1.3), (4.0, 1.8), (8.0, 2.4)])
def test_it_generalises_later_than_it_fits(alpha, ratio):
    fitted, generalised = times(alpha)
    assert np.mean(generalised / fitted) >= ratio


def test_both_are_the_later_the_lazier():
    fitted, generalised = zip(*(times(alpha) for alpha in (1.0, 4.0, 8.0)), strict=True)
    assert np.all(np.diff(fitted, axis=0) > 0)
    assert np.all(np.diff(generalised, axis=0) > 0)


def test_the_test_loss_rises_first():
    assert np.mean(np.max(curves(1.0)["test_loss"], axis=1)) >= 0.85


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0])
def test_the_weight_norm_ends_where_the_solution_is(alpha):
    """The trace of M over D: 1 + 1 / (α ε) for the centred network."""
    ratio = curves(alpha)["weight_norm_ratio"][:, -1] ** 2
    np.testing.assert_allclose(ratio, 1 + 1 / (alpha * 0.1), rtol=0.05)


def test_smaller_epsilon_waits_longer():
    delays = []
    for epsilon in (0.05, 0.1, 0.25, 0.5):
        found = curves(1.0, epsilon)
        delay = first_below(found["test_loss"], 0.25) - first_below(
            found["train_loss"], 0.1
        )
        delays.append(delay)
    assert np.all(np.diff(delays, axis=0) < 0)
