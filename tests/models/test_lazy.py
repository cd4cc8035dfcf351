"""Lazy models: by hand, against float64 at large α, and their limit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.x64 import enable_x64
from models.lazy import lazy, lazy_from_offset, lazy_learning_rate
from nap_optax.metrics import empirical_ntk, kernel_descent, linearize


def apply(params, inputs):
    """A perceptron that is no polynomial of its parameters."""
    hidden = jnp.tanh(inputs @ params["inner"])
    return hidden @ params["outer"] / params["outer"].size ** 0.5


def problem(dtype, seed=0):
    generator = np.random.default_rng(seed)
    arrays = {
        "inner": generator.normal(size=(5, 40)),
        "outer": generator.normal(size=40),
    }
    params = {name: jnp.asarray(leaf, dtype) for name, leaf in arrays.items()}
    inputs = generator.normal(size=(12, 5)) / 5**0.5
    targets = np.sin(3 * inputs[:, 0])
    return params, jnp.asarray(inputs, dtype), jnp.asarray(targets, dtype)


def trained(model, params, inputs, targets, rate):
    """Outputs along gradient descent, every 30 steps."""

    def loss(params):
        return jnp.mean((targets - model(params, inputs)) ** 2)

    def step(params, _):
        updates = jax.tree.map(lambda g: -rate * g, jax.grad(loss)(params))
        return optax.apply_updates(params, updates), model(params, inputs)

    return jax.lax.scan(step, params, length=300)[1][::30]


@functools.cache
def curves(alpha, kind, dtype="float32"):
    with enable_x64(dtype == "float64"):
        params, inputs, targets = problem(dtype)
        rate = lazy_learning_rate(0.3, alpha)
        if kind == "offset":
            model, start = (
                lazy_from_offset(apply, params, alpha),
                jax.tree.map(jnp.zeros_like, params),
            )
        else:
            model, start = lazy(apply, params, alpha), params
        return np.asarray(
            jax.jit(lambda start: trained(model, start, inputs, targets, rate))(start),
            np.float64,
        )


def error(alpha, kind):
    truth = curves(alpha, "plain", "float64")
    return np.linalg.norm(curves(alpha, kind) - truth) / np.linalg.norm(truth)


def test_by_hand():
    def square(w, x):
        return w * w * x

    assert lazy(square, 2.0, 10.0)(2.5, 4.0) == 90
    assert lazy(square, 2.0, 10.0, center=False)(2.5, 4.0) == 250
    assert lazy_learning_rate(2.0, 4.0) == 0.125
    assert lazy_learning_rate(2.0, 4.0, width=8) == 1
    assert lazy_learning_rate(optax.linear_schedule(0.0, 2.0, 10), 0.5)(5) == 4


def test_outputs_may_be_a_tree():
    model = lazy(lambda w, x, y: {"sum": w * x, "product": w * y}, 1.0, 2.0)
    assert model(3.0, 5.0, 7.0) == {"sum": 20.0, "product": 28.0}
    offset = lazy_from_offset(lambda w, x: {"a": w * w * x}, 1.0, 2.0)
    np.testing.assert_allclose(offset(2.0, 5.0)["a"], 80.0, rtol=1e-6)


@pytest.mark.parametrize(("degree", "num_nodes"), [(2, 1), (4, 2), (6, 3)])
def test_the_integral_is_exact_for_polynomials(degree, num_nodes):
    with enable_x64(True):
        model = lazy_from_offset(
            lambda w, x: w**degree * x, 2.0, 3.0, num_nodes=num_nodes
        )
        np.testing.assert_allclose(
            model(0.5, 1.0), 3 * (2.5**degree - 2**degree), rtol=1e-13
        )


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [10.0, 1e4])
def test_the_gradient_is_that_of_the_parameters(alpha):
    with enable_x64(True):
        params, inputs, _ = problem("float64")
        offset = jax.tree.map(lambda leaf: jnp.cos(leaf) / alpha, params)
        moved = optax.apply_updates(params, offset)
        plain, moving = (
            lazy(apply, params, alpha),
            lazy_from_offset(apply, params, alpha, num_nodes=4),
        )
        # Rounding of the plain form is 1e-16 alpha.
        np.testing.assert_allclose(
            moving(offset, inputs), plain(moved, inputs), rtol=1e-7
        )
        ours = jax.grad(lambda o: jnp.sum(moving(o, inputs) ** 2))(offset)
        theirs = jax.grad(lambda p: jnp.sum(plain(p, inputs) ** 2))(moved)
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [100.0, 1e3, 1e4])
def test_offsets_keep_float32_exact_at_any_alpha(alpha):
    assert error(alpha, "offset") < 3e-5


@pytest.mark.slow
def test_what_the_plain_form_loses():
    """About 1e-7 α, as the docstring says; at 1e4 updates are lost altogether."""
    assert error(1.0, "plain") < 1e-5
    assert error(100.0, "plain") < 1e-3
    assert error(1e4, "plain") > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1e3, 1e4])
def test_large_alpha_is_the_linearised_network(alpha):
    with enable_x64(True):
        params, inputs, targets = problem("float64")
        rate = lazy_learning_rate(0.3, alpha)
        model = lazy(linearize(apply, params), params, alpha)
        linear = np.asarray(trained(model, params, inputs, targets, rate))
        kernel = empirical_ntk(apply, params, inputs)
        # The rate's α and the kernel's cancel.
        coefficients = kernel_descent(
            kernel,
            targets,
            step_size=2 * 0.3 / len(targets),
            num_steps=jnp.arange(0, 300, 30),
        )
        closed = np.asarray(coefficients @ kernel)
    np.testing.assert_allclose(closed, linear, rtol=1e-6, atol=1e-9)
    change = np.linalg.norm(curves(alpha, "offset") - linear) / np.linalg.norm(linear)
    assert change < 1 / alpha


def test_alpha_may_be_traced():
    params, inputs, _ = problem("float32")
    offset = jax.tree.map(lambda leaf: 0.01 * leaf, params)

    def outputs(alpha):
        return lazy_from_offset(apply, params, alpha)(offset, inputs)

    two = jax.jit(jax.vmap(outputs))(jnp.array([2.0, 4.0]))
    np.testing.assert_allclose(2 * two[0], two[1], rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, float("nan"), float("inf"), "a", None])
def test_alpha_without_a_meaning_is_refused(alpha):
    for call in (
        lambda: lazy(apply, {}, alpha),
        lambda: lazy_from_offset(apply, {}, alpha),
        lambda: lazy_learning_rate(1.0, alpha),
    ):
        with pytest.raises(ValueError, match="alpha must be a finite number"):
            call()


def test_other_arguments_are_checked():
    with pytest.raises(ValueError, match="num_nodes must be an int of at least 1"):
        lazy_from_offset(apply, {}, 1.0, num_nodes=0)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        lazy_learning_rate(1.0, 1.0, width=0)
    for width in (-1.0, float("nan"), "a"):
        with pytest.raises(ValueError, match="width must be at least 1"):
            lazy_learning_rate(1.0, 1.0, width=width)
    for rate in (-1.0, float("nan"), "a"):
        with pytest.raises(ValueError, match="base_rate must be finite and at least 0"):
            lazy_learning_rate(rate, 2.0)


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        ({"b": jnp.ones(2)}, "offset must be a tree like initial_params"),
        (jnp.ones(2), "offset must be a tree like initial_params"),
        ({"a": jnp.ones(())}, "offset must have the shapes of initial_params"),
    ],
)
def test_an_offset_of_other_parameters_is_refused(offset, message):
    model = lazy_from_offset(lambda p, x: p["a"] * x, {"a": jnp.ones(2)}, 1.0)
    with pytest.raises(ValueError, match=message) as error:
        model(offset, jnp.ones(2))
    assert "\n" not in str(error.value)
