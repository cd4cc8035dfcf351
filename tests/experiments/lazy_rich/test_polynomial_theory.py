"""Closed forms against samples; where the paper misprints one, its version fails."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lazy_rich.polynomial import moments, task, theory
from helpers.x64 import enable_x64
from nap_optax import metrics

D = 8


def random_moments(seed=0, scale=1.0):
    """Of some network, neither isotropic nor without mean."""
    weights = np.random.default_rng(seed).normal(size=(D, 30)) * scale + 0.4
    return moments.moments_of(jnp.asarray(weights, jnp.float32))


@functools.cache
def samples(num, seed=0):
    """Drawn once for all tests, most of which draw a million."""
    return np.random.default_rng(seed).normal(size=(num, D)) / D**0.5


def directions(num=1, seed=5):
    drawn = np.random.default_rng(seed).normal(size=(num, D))
    return drawn * D**0.5 / np.linalg.norm(drawn, axis=1, keepdims=True)


def assert_is_the_mean(values, formula, errors=4.0):
    """Within some standard errors of the mean of samples."""
    error = np.std(values) / len(values) ** 0.5
    assert abs(np.mean(values) - formula) < errors * error, (np.mean(values), formula)
    return error


def kernel_of(x, other, own, epsilon):
    """The formula, for pairs of inputs."""
    mean, second = np.asarray(own.mean), np.asarray(own.second)
    inner = np.sum(x * other, axis=1)
    linear = (x + other) @ mean
    return inner * (
        1 + epsilon * linear + epsilon**2 * np.sum((x @ second) * other, axis=1)
    )


@pytest.mark.parametrize("num_directions", [1, 2])
@pytest.mark.parametrize("readouts", [False, True])
def test_the_test_loss_is_that_of_samples(num_directions, readouts):
    generator = np.random.default_rng(1)
    weights = generator.normal(size=(D, 12)) + 0.2
    v = generator.normal(size=12) if readouts else np.ones(12)
    alpha, epsilon, beta = 1.3, 0.7, directions(num_directions)
    x = samples(400_000)
    h = x @ weights
    f = alpha * np.mean((h + epsilon / 2 * h**2) * v, axis=1)
    y = np.sum((x @ beta.T) ** 2, axis=1) / 2
    own = moments.moments_of(jnp.asarray(weights), jnp.asarray(v) if readouts else None)
    terms = theory.loss_terms(own, task.target_matrix(beta), alpha, epsilon)
    assert_is_the_mean((y - f) ** 2, terms.total)
    # Each term alone, by what it is the power of.
    assert_is_the_mean((alpha * x @ own.mean) ** 2, terms.linear)
    np.testing.assert_allclose(terms.variance, np.mean(y - f) ** 2, rtol=0.05)


def test_the_zero_network_and_the_solution():
    beta = directions()
    target = jnp.asarray(task.target_matrix(beta))
    nothing = moments.Moments(jnp.zeros(D), jnp.zeros((D, D)))
    np.testing.assert_allclose(
        theory.loss_terms(nothing, target, 1.0, 0.3).total, 0.75, rtol=1e-5
    )
    solution = moments.Moments(jnp.zeros(D), target / (2.0 * 0.3))
    np.testing.assert_allclose(
        theory.loss_terms(solution, target, 2.0, 0.3).total, 0, atol=1e-10
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tangent_kernel_is_that_of_the_network(dtype):
    """times α² / N, which the paper leaves out."""
    with enable_x64(dtype == "float64"):
        weights = jnp.asarray(np.random.default_rng(0).normal(size=(D, 6)), dtype)
        inputs = jnp.asarray(samples(7), dtype)
        alpha, epsilon = 1.7, 0.6

        def network(weights, inputs):
            h = inputs @ weights
            return alpha * jnp.mean(h + epsilon / 2 * h**2, axis=1)

        formula = (
            alpha**2
            / 6
            * theory.tangent_kernel(
                inputs, inputs, moments.moments_of(weights), epsilon
            )
        )
        jacobian = metrics.empirical_ntk(network, weights, inputs)
        tolerance = 1e-12 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(formula, jacobian, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("readouts", [False, True])
@pytest.mark.parametrize("epsilon", [0.05, 0.3, 0.7, 1.5, 4.0])
def test_eigenvalues_sum_to_the_trace(epsilon, readouts):
    found = theory.initial_eigenvalues(D, epsilon, readouts=readouts)
    total = sum(own.multiplicity * own.value for own in found.values())
    fourth = 1 + 2 / D  # the mean of |x|^4
    diagonal = (
        2 + (1.5 + 0.25) * epsilon**2 * fourth if readouts else 1 + epsilon**2 * fourth
    )
    np.testing.assert_allclose(total, diagonal, rtol=1e-12)


def initial_kernel(x, other, epsilon, readouts):
    inner = np.sum(x * other, axis=1)
    if not readouts:
        return inner + epsilon**2 * inner**2
    squares = np.sum(x**2, axis=1) * np.sum(other**2, axis=1)
    return 2 * inner + epsilon**2 * (1.5 * inner**2 + squares / 4)


@pytest.mark.slow
@pytest.mark.parametrize("readouts", [False, True])
@pytest.mark.parametrize("name", ["linear", "quadratic", "radial"])
@pytest.mark.parametrize("epsilon", [0.3, 0.7, 1.5])
def test_eigenvalues_are_those_of_the_kernel(epsilon, name, readouts):
    """By projections: the mean of φ(x) K(x, x') φ(x') over that of φ(x)²."""
    x, other = samples(1_000_000, seed=1), samples(1_000_000, seed=2)
    functions = {
        "linear": lambda x: x[:, 0],
        "quadratic": lambda x: x[:, 0] * x[:, 1],
        "radial": lambda x: np.sum(x**2, axis=1),
    }
    phi, psi = functions[name](x), functions[name](other)
    power = np.mean(phi**2)
    products = phi * initial_kernel(x, other, epsilon, readouts) * psi / power
    own = theory.initial_eigenvalues(D, epsilon, readouts=readouts)[name]
    error = assert_is_the_mean(products, own.value)
    if name == "quadratic" and not readouts:
        # What the paper's main text prints.
        assert abs(np.mean(products) - 2 * epsilon / D**2) > 4 * error
    if name == "radial" and not readouts:
        # Equation 16 leaves out ε².
        assert abs(np.mean(products) - (1 + 2 / D) / D) > 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("num_directions", [1, 2])
@pytest.mark.parametrize("epsilon", [0.3, 0.8, 2.0])
def test_alignment_and_its_parts_are_those_of_samples(
    epsilon, num_directions, centered
):
    own = random_moments()
    target = jnp.asarray(task.target_matrix(directions(num_directions)), jnp.float32)
    x, other = samples(1_000_000, seed=1), samples(1_000_000, seed=2)
    mean, second = np.asarray(own.mean), np.asarray(own.second)
    y = np.einsum("pi,ij,pj->p", x, target, x) / 2
    z = np.einsum("pi,ij,pj->p", other, target, other) / 2
    kernel = kernel_of(x, other, own, epsilon)
    if centered:
        y, z = y - np.mean(y), z - np.mean(z)
        # The mean over the other input, from its first two moments.
        for one in (x, other):
            square = np.sum((one @ second) * one, axis=1)
            kernel = kernel - (epsilon * one @ mean + epsilon**2 * square) / D
        kernel = kernel + epsilon**2 * np.trace(second) / D**2
    power = float(theory.kernel_power(own, epsilon, centered=centered))
    assert_is_the_mean(kernel**2, power)
    found = float(theory.alignment(own, target, epsilon, centered=centered))
    numerator = found * power**0.5 * np.mean(y**2)
    error = assert_is_the_mean(y * kernel * z, numerator)
    # The paper leaves out the quarter.
    assert abs(np.mean(y * kernel * z) - 4 * numerator) > 4 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epsilon", "centered", "with_diagonal"),
    [
        *((1.0, False, 0.0542), (1.0, True, 0.0088)),
        *(
            pytest.param(*own, marks=pytest.mark.thorough)
            for own in [(0.5, False, 0.0153), (2.0, False, 0.146), (2.0, True, 0.0228)]
        ),
    ],
)
def test_alignment_of_a_gram_matrix_without_its_diagonal(
    epsilon, centered, with_diagonal
):
    """At D = 50 and 4000 examples, where the diagonal adds about sqrt(D) / n."""
    d = 50
    own = task.draw_task(jax.random.key(0), d, 4000)
    isotropic = moments.Moments(jnp.zeros(d), jnp.eye(d))
    kernel = theory.tangent_kernel(own.inputs, own.inputs, isotropic, epsilon)
    population = theory.alignment(
        isotropic, task.target_matrix(own.directions), epsilon, centered=centered
    )
    aligned = {
        diagonal: metrics.kernel_target_alignment(
            kernel, own.targets, centered=centered, diagonal=diagonal
        )
        for diagonal in (False, True)
    }
    np.testing.assert_allclose(aligned[False], population, rtol=0.08)
    np.testing.assert_allclose(aligned[True], with_diagonal, rtol=0.08)
    if centered:
        assert aligned[True] > 1.2 * population
