"""Alignment of kernels: by hand, against the definitions, and its bias."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nap_optax.metrics import kernel_alignment, kernel_target_alignment


def random_kernels(num_examples=8, seed=0):
    generator = np.random.default_rng(seed)
    factors = generator.normal(size=(2, num_examples, 5)) + 0.5
    return np.einsum("kip,kjp->kij", factors, factors)


def test_by_hand():
    kernel = jnp.array([[2.0, 1.0], [1.0, 2.0]])
    y = jnp.array([1.0, 0.0])
    # y K y = 2, the norm of K is sqrt(10), that of y 1.
    np.testing.assert_allclose(
        kernel_target_alignment(kernel, y), 2 / np.sqrt(10), rtol=1e-6
    )
    # Centred: K is [[1, -1], [-1, 1]] / 2 and y y' the half of it.
    np.testing.assert_allclose(
        kernel_target_alignment(kernel, y, centered=True), 1, rtol=1e-6
    )


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("centered", [False, True])
def test_equals_the_definition(centered, scale):
    one, other = random_kernels()
    h = np.eye(8) - 1 / 8 if centered else np.eye(8)
    a, b = h @ one @ h, h @ other @ h
    expected = np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)
    found = kernel_alignment(
        jnp.asarray(scale * one, jnp.float32),
        jnp.asarray(other, jnp.float32),
        centered=centered,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_several_targets():
    kernel, _ = random_kernels()
    y = np.random.default_rng(2).normal(size=(8, 3))
    expected = np.trace(y.T @ kernel @ y) / np.linalg.norm(kernel)
    expected /= np.linalg.norm(y @ y.T)
    found = kernel_target_alignment(
        jnp.asarray(kernel, jnp.float32), jnp.asarray(y, jnp.float32)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_diagonal_by_hand():
    kernel = jnp.array([[9.0, 1.0, 2.0], [1.0, 9.0, 0.0], [2.0, 0.0, 9.0]])
    y = jnp.array([1.0, 2.0, 3.0])
    # Pairs: K 1, 2, 0 and y y' 2, 3, 6: (2 + 6) / sqrt(5 * 49).
    np.testing.assert_allclose(
        kernel_target_alignment(kernel, y, diagonal=False), 8 / np.sqrt(245), rtol=1e-6
    )


def test_the_centred_estimate_without_diagonal_is_unbiased():
    """By its definition: averages over examples that all differ."""
    one, other = random_kernels(num_examples=6)

    def hsic(a, b):
        same, apart, chain = [], [], []
        for i, j, k, m in itertools.permutations(range(6), 4):
            same.append(a[i, j] * b[i, j])
            apart.append(a[i, j] * b[k, m])
            chain.append(a[i, j] * b[i, k])
        return np.mean(same) + np.mean(apart) - 2 * np.mean(chain)

    expected = hsic(one, other) / np.sqrt(hsic(one, one) * hsic(other, other))
    found = kernel_alignment(
        jnp.asarray(one, jnp.float32),
        jnp.asarray(other, jnp.float32),
        centered=True,
        diagonal=False,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_diagonal_adds_an_alignment_that_is_not_there():
    """Random targets: nothing is to be found, and the diagonal finds something."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 100)) / 10
    kernel = jnp.asarray((x @ x.T), jnp.float32)
    y = jnp.asarray(generator.normal(size=300), jnp.float32)
    assert kernel_target_alignment(kernel, y) > 0.02
    assert abs(kernel_target_alignment(kernel, y, diagonal=False)) < 0.01


def test_of_zero_is_nan():
    zero = jnp.zeros((3, 3))
    assert jnp.isnan(kernel_alignment(zero, jnp.eye(3)))
    gradient = jax.grad(lambda k: kernel_alignment(k, jnp.eye(3)))(jnp.ones((3, 3)))
    assert jnp.all(jnp.isfinite(gradient))


@pytest.mark.parametrize(
    ("value", "centered"), [(0.0, False), (0.0, True), (0.1, True)]
)
def test_of_targets_without_a_direction_is_nan(value, centered):
    kernel, _ = random_kernels()
    targets = jnp.full(len(kernel), value)
    found = kernel_target_alignment(jnp.asarray(kernel), targets, centered=centered)
    assert jnp.isnan(found)


def test_of_bfloat16_is_float32():
    one, other = (jnp.asarray(k, jnp.bfloat16) for k in random_kernels())
    assert kernel_alignment(one, other).dtype == jnp.float32


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"other must have the shape of kernel"):
        kernel_alignment(jnp.eye(3), jnp.eye(4))
    with pytest.raises(ValueError, match="at least 4 examples, got 3"):
        kernel_alignment(jnp.eye(3), jnp.eye(3), centered=True, diagonal=False)
    with pytest.raises(ValueError, match="centered='yes'"):
        kernel_alignment(jnp.eye(3), jnp.eye(3), centered="yes")
