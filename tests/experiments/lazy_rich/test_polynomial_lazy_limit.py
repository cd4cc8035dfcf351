"""The linearised network in closed form against the one that is trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lazy_rich.polynomial import lazy_limit, moments, task, theory
from helpers.x64 import enable_x64
from nap_optax import metrics

DIMENSION, NUM_TRAIN, WIDTH = 6, 15, 8
EPSILON, RATE = 0.5, 0.8


def problem(dtype="float64"):
    key, weights_key = jax.random.split(jax.random.key(1))
    own = task.draw_task(key, DIMENSION, NUM_TRAIN)
    weights = jax.random.normal(weights_key, (DIMENSION, WIDTH)) + 0.3
    return jax.tree.map(lambda leaf: leaf.astype(dtype), (own, weights))


def network(weights, inputs):
    h = inputs @ weights
    return jnp.mean(h + EPSILON / 2 * h**2, axis=1)


def curve(own, weights, steps):
    return lazy_limit.lazy_curve(
        jnp.asarray(steps),
        own.inputs,
        own.targets,
        task.target_matrix(own.directions),
        moments.moments_of(weights),
        epsilon=EPSILON,
        base_rate=RATE,
    )


def test_equals_the_linearised_network_trained():
    steps = [0, 1, 10, 100]
    with enable_x64(True):
        own, weights = problem()
        linear = metrics.linearize(network, weights)
        first = network(weights, own.inputs)
        fresh = jax.random.normal(jax.random.key(7), (20_000, DIMENSION))
        fresh = fresh / DIMENSION**0.5
        start = network(weights, fresh)

        def loss(now):
            f = linear(now, own.inputs) - first
            return jnp.mean((own.targets - f) ** 2)

        @jax.jit
        def step(now):
            return now - RATE * WIDTH * jax.grad(loss)(now)

        found = curve(own, weights, steps)
        now, train, test = weights, [], []
        for number in range(steps[-1] + 1):
            if number in steps:
                train.append(loss(now))
                f = linear(now, fresh) - start
                y = task.targets_of(fresh, own.directions)
                test.append((y - f) ** 2)
            now = step(now)
        np.testing.assert_allclose(found.train_loss, train, rtol=1e-6)
        for closed, squares in zip(found.test_loss, test, strict=True):
            error = jnp.std(squares) / len(squares) ** 0.5
            assert abs(closed - jnp.mean(squares)) < 4 * error


@pytest.mark.slow
def test_ends_at_kernel_regression_at_the_tasks_difficulty():
    with enable_x64(True):
        own, weights = problem()
        initial = moments.moments_of(weights)
        kernel = theory.tangent_kernel(own.inputs, own.inputs, initial, EPSILON)
        coefficients = metrics.kernel_regression(kernel, own.targets)
        limit = lazy_limit.of_coefficients(coefficients, own.inputs, initial, EPSILON)
        target = task.target_matrix(own.directions)
        end = curve(own, weights, [10**9])
        np.testing.assert_allclose(end.train_loss, 0, atol=1e-10)
        np.testing.assert_allclose(end.test_loss[0], limit.test_loss(target), rtol=1e-3)
        # And is as far from the start as y K^-1 y says, in the units' weights.
        jacobian = jax.jacrev(network)(weights, own.inputs).reshape(NUM_TRAIN, -1)
        least = jnp.linalg.lstsq(jacobian, own.targets)[0]
        distance = jnp.vdot(least, least)
        np.testing.assert_allclose(
            WIDTH * metrics.task_difficulty(kernel, own.targets), distance, rtol=1e-6
        )


@pytest.mark.slow
def test_large_alpha_approaches_it_as_one_over_alpha():
    """D = 50, P = 250, ε = .1: after 200 steps within 2 % at α = 16, 1e-3 at 1000."""
    with enable_x64(True):
        key, weights_key = jax.random.split(jax.random.key(0))
        own = task.draw_task(key, 50, 250)
        weights = jax.random.normal(weights_key, (50, 500))
        initial = moments.moments_of(weights)
        first = moments.start(weights, own.inputs, 0.1)
        target = task.target_matrix(own.directions)
        options = {"epsilon": 0.1, "base_rate": 2.0}
        lazy = lazy_limit.lazy_curve(
            jnp.arange(201), own.inputs, own.targets, target, initial, **options
        )

        @jax.jit
        def losses(alpha):
            def step(moved, _):
                hidden = moved @ own.inputs.T
                f = moments.outputs(hidden, first, alpha, 0.1, center=True)
                rest = own.targets - f
                new = moments.descend(
                    moved, hidden, own.inputs, rest, first, alpha=alpha, **options
                )
                return new, jnp.mean(rest**2)

            return jax.lax.scan(step, moments.unchanged(first), length=201)[1]

        deviations = [
            float(jnp.max(jnp.abs(losses(alpha) / lazy.train_loss - 1)))
            for alpha in (16.0, 100.0, 1000.0)
        ]
    np.testing.assert_allclose(deviations, [0.019, 0.003, 3e-4], rtol=0.5)
    assert deviations[-1] < 1e-3


@pytest.mark.slow
def test_the_limit_of_the_rate():
    own, weights = problem("float32")
    initial = moments.moments_of(weights)
    limit = lazy_limit.largest_rate(own.inputs, initial, EPSILON)

    def at(rate):
        return lazy_limit.lazy_curve(
            jnp.asarray([1000]),
            own.inputs,
            own.targets,
            task.target_matrix(own.directions),
            initial,
            epsilon=EPSILON,
            base_rate=float(rate),
        )

    assert at(0.99 * limit).train_loss[0] < 1
    with pytest.raises(ValueError, match="gradient descent diverges"):
        at(1.01 * limit)
