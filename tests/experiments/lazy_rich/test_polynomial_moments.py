"""The recursion of moments against gradient descent on the units' weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lazy_rich.polynomial import moments, task
from helpers.x64 import enable_x64
from models.lazy import lazy_from_offset

DIMENSION, NUM_TRAIN, WIDTH = 12, 25, 20


def network(weights, inputs, epsilon):
    """The committee machine as it is defined, without α."""
    h = inputs @ weights
    return jnp.mean(h + epsilon / 2 * h**2, axis=1)


def problem(seed=0, sizes=(DIMENSION, NUM_TRAIN, WIDTH)):
    dimension, num_train, width = sizes
    key, weights_key = jax.random.split(jax.random.key(seed))
    own = task.draw_task(key, dimension, num_train)
    return own, jax.random.normal(weights_key, (dimension, width))


def narrowed(tree):
    """A problem drawn in float64, in float32: the draws depend on the precision."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float32), tree)


@functools.partial(jax.jit, static_argnames=("num_steps", "center"))
def recursion(own, weights, settings, num_steps, center=True):
    """The moments after some updates, how far units are, and losses before each."""
    alpha, epsilon, base_rate = settings
    first = moments.start(weights, own.inputs, epsilon)

    def step(moved, _):
        hidden = moved @ own.inputs.T
        f = moments.outputs(hidden, first, alpha, epsilon, center=center)
        residuals = own.targets - f
        new = moments.descend(
            moved,
            hidden,
            own.inputs,
            residuals,
            first,
            alpha=alpha,
            epsilon=epsilon,
            base_rate=base_rate,
        )
        return new, jnp.mean(residuals**2)

    moved, losses = jax.lax.scan(step, moments.unchanged(first), length=num_steps)
    now = moments.added(moments.moments_of(weights), moments.change(moved, first))
    return now, jnp.sum(moved**2), losses


@functools.partial(jax.jit, static_argnames=("num_steps", "center"))
def descent(own, weights, settings, num_steps, center=True):
    """The weights after as many updates by automatic differentiation, and losses."""
    alpha, epsilon, base_rate = settings
    rate = base_rate * weights.shape[1] / alpha**2
    first = network(weights, own.inputs, epsilon) if center else 0.0

    def loss(now):
        f = alpha * (network(now, own.inputs, epsilon) - first)
        return jnp.mean((own.targets - f) ** 2)

    def step(now, _):
        value, gradient = jax.value_and_grad(loss)(now)
        return now - rate * gradient, value

    return jax.lax.scan(step, weights, length=num_steps)


@pytest.mark.slow
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("width", [5, DIMENSION + 1, WIDTH])
def test_equals_gradient_descent_in_float64(width, center):
    with enable_x64(True):
        own, weights = problem(sizes=(DIMENSION, NUM_TRAIN, width))
        settings = ((2.0, 0.25, 1.0), 100, center)
        now, square, ours = recursion(own, weights, *settings)
        after, theirs = descent(own, weights, *settings)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
        assert theirs[-1] < 0.5 * theirs[0]
        expected = moments.moments_of(after)
        np.testing.assert_allclose(now.mean, expected.mean, atol=1e-10)
        np.testing.assert_allclose(now.second, expected.second, atol=1e-10)
        distance = jnp.mean(jnp.sum((after - weights) ** 2, axis=0))
        np.testing.assert_allclose(square, distance, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "expected"), [(5, 5), (500, DIMENSION + 1)])
def test_few_units_have_the_moments_of_many(width, expected):
    own, weights = problem(sizes=(DIMENSION, NUM_TRAIN, width))
    first, want = moments.start(weights, own.inputs, 0.3), moments.moments_of(weights)
    assert first.weights.shape == (expected, DIMENSION)
    np.testing.assert_allclose(first.shares @ first.weights, want.mean, atol=1e-5)
    np.testing.assert_allclose(
        first.weights.T @ first.weights, want.second, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(jnp.sum(first.shares**2), 1, rtol=1e-5)
    outputs = network(weights, own.inputs, 0.3)
    np.testing.assert_allclose(first.outputs, outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_float32_is_enough_for_2000_steps():
    sizes, settings = (100, 120, 50), ((2.0, 0.25, 1.0), 2000)
    with enable_x64(True):
        own, weights = problem(sizes=sizes)
        theirs = np.asarray(descent(own, weights, *settings)[1])
    assert theirs[-1] < 0.02
    own, weights = narrowed((own, weights))
    ours = recursion(own, weights, *settings)[2]
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=1e-4)


def test_float32_keeps_its_digits_at_any_alpha():
    """Beside float64, and beside the lazy model of the units' weights."""
    settings = ((1e5, 0.25, 1.0), 100)
    with enable_x64(True):
        own, weights = problem()
        truth = np.asarray(recursion(own, weights, *settings)[2])
    own, weights = narrowed((own, weights))
    ours = recursion(own, weights, *settings)[2]
    np.testing.assert_allclose(ours, truth, rtol=1e-5)

    model = lazy_from_offset(
        lambda w, x: network(w, x, 0.25), weights, 1e5, num_nodes=1
    )

    def step(offset, _):
        def loss(offset):
            return jnp.mean((own.targets - model(offset, own.inputs)) ** 2)

        value, gradient = jax.value_and_grad(loss)(offset)
        return offset - (WIDTH / 1e10) * gradient, value

    theirs = jax.lax.scan(step, jnp.zeros_like(weights), length=100)[1]
    np.testing.assert_allclose(theirs, truth, rtol=1e-5)


@pytest.mark.parametrize("center", [True, False])
def test_the_scale_of_weights_is_laziness(center):
    """(α, ε, σ) trains as (α σ, ε σ, 1) at the same η₀, in full."""
    with enable_x64(True):
        own, weights = problem()
        alpha, epsilon, scale, rate = 0.8, 0.2, 2.5, 0.4
        lazy = recursion(
            own, weights, (alpha * scale, epsilon * scale, rate), 200, center
        )[2]
        wide = recursion(own, scale * weights, (alpha, epsilon, rate), 200, center)[2]
    np.testing.assert_allclose(wide, lazy, rtol=1e-10)


def test_the_scale_of_labels_is_laziness():
    """Labels y / α at α = 1 give 1 / α² times the losses of labels y at α."""
    with enable_x64(True):
        own, weights = problem()
        alpha = 3.0
        small = own._replace(targets=own.targets / alpha)
        ours = recursion(small, weights, (1.0, 0.2, 0.5), 200)[2]
        theirs = recursion(own, weights, (alpha, 0.2, 0.5), 200)[2]
        np.testing.assert_allclose(ours, theirs / alpha**2, rtol=1e-10)


def test_targets_and_directions():
    own = task.draw_task(jax.random.key(3), 40, 4000, num_directions=2)
    np.testing.assert_allclose(jnp.sum(own.directions**2, axis=1), 40, rtol=1e-5)
    projections = np.asarray(own.inputs @ own.directions.T)
    np.testing.assert_allclose(
        own.targets, np.sum(projections**2, axis=1) / 2, rtol=1e-5
    )
    quadratic = np.einsum(
        "pi,ij,pj->p", own.inputs, task.target_matrix(own.directions), own.inputs
    )
    np.testing.assert_allclose(own.targets, quadratic / 2, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(jnp.mean(own.inputs**2), 1 / 40, rtol=0.02)
    np.testing.assert_allclose(jnp.mean(own.targets), 1, atol=0.1)
