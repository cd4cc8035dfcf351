"""Projection, re-warming and what is measured of a network's way, for every task."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.harness.members import hyperparameters, init_members
from experiments.lazy_rich.config import LazyConfig
from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.modular.problem import Addition
from experiments.lazy_rich.optimizers import rewarmed, tangential
from experiments.lazy_rich.training import Training
from helpers.checkout.family_cases import CASES

CONFIG = Config(modulus=5, width=8, train_fraction=0.6, num_steps=100)
TASKS = {
    case.family.name: case
    for case in CASES
    if isinstance(case.tiny, LazyConfig) and not case.family.data  # which needs files
}
MOVED = (
    "feature_covariance_change",
    "activation_pattern_change",
    "kernel_change",
    "kernel_rotation",
)


def start(config):
    hyper = hyperparameters(config)
    own = Training(config, Addition(config))
    return own, hyper, *own.init(jnp.uint32(0), hyper)


def norms(params):
    return [float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(params)]


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
@pytest.mark.parametrize("project", [True, False])
def test_projection_holds_norms(optimizer, project):
    own, hyper, state, fixed = start(
        dataclasses.replace(CONFIG, optimizer=optimizer, project=project)
    )
    after = own.step(state, hyper, fixed)
    moved = optax.tree.norm(optax.tree.sub(after.params, state.params))
    assert moved > 1e-2
    same = np.allclose(norms(after.params), norms(state.params), rtol=1e-5)
    assert same == project


def test_tangential_gradients_have_no_part_along_the_weights():
    weights = {"a": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "zero": jnp.zeros((2, 2))}
    grads = {"a": jnp.array([[1.0, 2.0], [0.0, 3.0]]), "zero": jnp.ones((2, 2))}
    left, _ = tangential().update(grads, optax.EmptyState(), weights)
    # <g, w> = 15 and |w|^2 = 25: less 0.6 w.
    expected = [[1 - 1.8, 2.0], [0.0, 3 - 2.4]]
    np.testing.assert_allclose(left["a"], expected, rtol=1e-5)
    np.testing.assert_allclose(left["zero"], grads["zero"])


def test_the_rate_holds_then_warms_up_and_comes_down():
    config = dataclasses.replace(
        CONFIG, num_steps=220, num_rewarms=2, delay_steps=20, rewarm_factor=5.0
    )
    schedule = rewarmed(config, hyperparameters(config), 0.1)
    steps = [0, 19, 20, 30, 119, 120, 130, 219]
    expected = [0.1, 0.1, 0.1, 0.5, 0.1, 0.1, 0.5, 0.1]
    found = [float(schedule(jnp.int32(step))) for step in steps]
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_a_cycle_scales_the_update():
    """Of gradient descent, at the peak of the first cycle."""
    config = dataclasses.replace(CONFIG, num_rewarms=1, num_steps=10)
    own, hyper, state, fixed = start(config)
    plain, *_ = start(CONFIG)
    for _ in range(2):
        state, before = own.step(state, hyper, fixed), state
    grads_only = plain.step(
        before._replace(opt_state=plain.init(jnp.uint32(0), hyper)[0].opt_state),
        hyper,
        fixed,
    )
    moves = [
        optax.tree.norm(optax.tree.sub(after.params, before.params))
        for after in (state, grads_only)
    ]
    np.testing.assert_allclose(moves[0] / moves[1], config.rewarm_factor, rtol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.thorough if name != "modular" else ())
        for name in TASKS
    ],
)
def test_every_task_says_how_far_features_and_kernel_are(name):
    case = TASKS[name]
    config = dataclasses.replace(case.tiny, diagnose=True)
    own = case.family.code().experiment(config)
    state, hyper, fixed = jax.tree.map(lambda x: x[0], init_members(own, [config]))
    _, first = own.evaluate(state, hyper, fixed)
    for metric in MOVED:
        np.testing.assert_allclose(first[metric], 0, atol=1e-5, err_msg=metric)
    assert first["relative_update"] == 0
    for _ in range(3):
        state = own.step(state, hyper, fixed)
    _, later = own.evaluate(state, hyper, fixed)
    for metric in ("feature_covariance_change", "kernel_change", "relative_update"):
        assert later[metric] > 1e-5, metric
    assert abs(later["kernel_target_alignment"]) <= 1
