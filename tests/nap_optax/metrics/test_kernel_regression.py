"""Regression with kernels against least squares, and descent against its steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers.x64 import enable_x64
from nap_optax.metrics import kernel_descent, kernel_regression, task_difficulty


def features(num_examples=6, num_features=20, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num_examples, num_features))


def targets(num_examples=6, num_targets=2, seed=1):
    return np.random.default_rng(seed).normal(size=(num_examples, num_targets))


def descent_step_by_step(kernel, y, step_size, num_steps):
    coefficients = np.zeros_like(y)
    for _ in range(num_steps):
        coefficients = coefficients + step_size * (y - kernel @ coefficients)
    return coefficients


@pytest.mark.parametrize("num_targets", [1, 2])
def test_difficulty_is_the_least_change_of_the_parameters(num_targets):
    """Of the linear network with these features, by least squares."""
    rows, y = features(), targets(num_targets=num_targets)
    change = np.linalg.lstsq(rows, y, rcond=None)[0]
    with enable_x64(True):
        kernel = jnp.asarray(rows @ rows.T)
        difficulty = task_difficulty(kernel, jnp.asarray(y))
        coefficients = kernel_regression(kernel, jnp.asarray(y))
    np.testing.assert_allclose(difficulty, np.sum(change**2), rtol=1e-10)
    np.testing.assert_allclose(
        rows.T @ np.asarray(coefficients), change, rtol=1e-8, atol=1e-10
    )


def test_by_hand():
    # The inverse of [[2, 1], [1, 2]] is [[2, -1], [-1, 2]] / 3.
    kernel, y = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, -1.0])
    np.testing.assert_allclose(kernel_regression(kernel, y), [1, -1], rtol=1e-6)
    np.testing.assert_allclose(task_difficulty(kernel, y), 2, rtol=1e-6)
    # A ridge of 1: the inverse of [[3, 1], [1, 3]] is [[3, -1], [-1, 3]] / 8.
    np.testing.assert_allclose(
        kernel_regression(kernel, y, ridge=1.0), [0.5, -0.5], rtol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("step_size", [0.01, 0.9, 1.9])
def test_descent_equals_its_steps(step_size):
    """A fraction of the largest stable step: above half of it, signs alternate."""
    rows, y = features(), targets()
    kernel = rows @ rows.T
    step = step_size / np.linalg.eigvalsh(kernel)[-1]
    times = [0, 1, 2, 7, 100]
    with enable_x64(True):
        found = kernel_descent(
            jnp.asarray(kernel),
            jnp.asarray(y),
            step_size=step,
            num_steps=jnp.asarray(times),
        )
    assert found.shape == (5, 6, 2)
    for time, own in zip(times, found, strict=True):
        expected = descent_step_by_step(kernel, y, step, time)
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_descent_ends_at_the_regression():
    rows, y = features(), targets(num_targets=1)[:, 0]
    kernel = jnp.asarray(rows @ rows.T, jnp.float32)
    y = jnp.asarray(y, jnp.float32)
    found = kernel_descent(kernel, y, step_size=0.05, num_steps=10_000)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, kernel_regression(kernel, y), rtol=1e-3)


@pytest.mark.slow
def test_descent_of_small_eigenvalues_does_not_cancel():
    # 1 - (1 - 1e-9)^1000 has no digit in float32 if it is computed as written.
    kernel, y = jnp.diag(jnp.array([1e-9, 1.0])), jnp.array([1.0, 1.0])
    found = kernel_descent(kernel, y, step_size=1.0, num_steps=1000)
    np.testing.assert_allclose(found, [1000.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize("name", ["kernel", "targets"])
@pytest.mark.parametrize("function", [kernel_regression, task_difficulty])
def test_what_is_not_finite_is_not_called_singular(function, name):
    arguments = {"kernel": jnp.eye(3), "targets": jnp.ones(3)}
    arguments[name] = arguments[name].at[0].set(jnp.nan)
    with pytest.raises(ValueError, match=f"{name}: must be finite"):
        function(**arguments)


def test_descent_on_a_singular_kernel():
    kernel, y = jnp.ones((2, 2)), jnp.array([3.0, 1.0])
    found = kernel_descent(kernel, y, step_size=0.1, num_steps=7)
    expected = descent_step_by_step(np.ones((2, 2)), np.array([3.0, 1.0]), 0.1, 7)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_descent_may_be_traced_and_batched():
    kernel, y = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([3.0, 0.0])

    @jax.jit
    def at(step_size, num_steps):
        return kernel_descent(kernel, y, step_size=step_size, num_steps=num_steps)

    together = jax.vmap(at)(jnp.array([0.1, 0.2]), jnp.array([3, 5]))
    for own, step, num in zip(together, (0.1, 0.2), (3, 5), strict=True):
        np.testing.assert_allclose(
            own, descent_step_by_step(np.asarray(kernel), y, step, num), rtol=1e-5
        )


def test_a_step_that_diverges_is_refused_with_the_limit():
    kernel, y = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([3.0, 0.0])
    with pytest.raises(ValueError, match=r"step_size=0.7: .* below 0.6667"):
        kernel_descent(kernel, y, step_size=0.7, num_steps=1)


@pytest.mark.parametrize("function", [kernel_regression, task_difficulty])
def test_a_singular_kernel_is_refused_and_nan_under_jit(function):
    y = jnp.array([1.0, 2.0])
    for kernel in (
        jnp.ones((2, 2)),
        jnp.array([[1.0, 1.0], [1.0, 1.0 + 2**-23]]),  # has a factor, of noise
        jnp.array([[1.0, 2.0], [2.0, 1.0]]),  # has a negative eigenvalue
    ):
        with pytest.raises(
            ValueError, match=f"{function.__name__}: the kernel is sing"
        ):
            function(kernel, y)
        assert jnp.all(jnp.isnan(jax.jit(function)(kernel, y)))
    assert jnp.all(jnp.isfinite(function(jnp.ones((2, 2)), y, ridge=0.1)))


@pytest.mark.parametrize("function", [kernel_regression, task_difficulty])
def test_shapes_are_checked(function):
    with pytest.raises(ValueError, match=r"kernel must have shape \(n, n\)"):
        function(jnp.ones((2, 3)), jnp.ones(2))
    with pytest.raises(ValueError, match=r"targets must have shape \(2,\) or \(2, k\)"):
        function(jnp.eye(2), jnp.ones(3))
    with pytest.raises(ValueError, match="kernel must be real"):
        function(jnp.eye(2, dtype=jnp.complex64), jnp.ones(2))
