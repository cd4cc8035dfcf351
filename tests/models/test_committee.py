"""Committee machines against their formula, and Hermite's polynomials."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import CommitteeMachine
from models.committee import hermite


def build(**options):
    return CommitteeMachine(3, 5, rngs=nnx.Rngs(0), **options)


def formula(model, inputs, epsilon, nonlinearity, readouts):
    weights = np.asarray(model.hidden.kernel[...], np.float64)
    h = np.asarray(inputs, np.float64) @ weights
    return np.mean((h + epsilon / 2 * nonlinearity(h)) * readouts, axis=1)


def inputs():
    return jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)


def test_equals_the_formula():
    model = build(epsilon=0.3)
    expected = formula(model, inputs(), 0.3, np.square, 1)
    np.testing.assert_allclose(model(inputs()), expected, rtol=1e-5)
    assert list(nnx.to_pure_dict(nnx.state(model, nnx.Param))) == ["hidden"]


def test_with_readouts_and_another_polynomial():
    model = build(epsilon=0.3, readouts=True, nonlinearity=hermite(3))
    readouts = np.asarray(model.readouts[...], np.float64)
    expected = formula(model, inputs(), 0.3, lambda h: h**3 - 3 * h, readouts)
    np.testing.assert_allclose(model(inputs()), expected, rtol=1e-4)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    assert params["readouts"].shape == (5,)


def test_epsilon_and_the_scale_of_weights_may_be_traced():
    def outputs(epsilon, scale):
        graph, params, rest = nnx.split(
            build(epsilon=epsilon, weight_scale=scale), nnx.Param, ...
        )
        return nnx.merge(graph, params, rest)(inputs())

    # The unit's linear part is multiplied by 2, its square by 4.
    one, two = jax.jit(jax.vmap(outputs))(jnp.array([0.2, 0.1]), jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(2 * one, two, rtol=1e-5)


def test_initial_preactivations_are_standard_normal():
    model = CommitteeMachine(50, 2000, rngs=nnx.Rngs(1))
    weights = np.asarray(model.hidden.kernel[...])
    assert weights.shape == (50, 2000)
    np.testing.assert_allclose([weights.mean(), weights.std()], [0, 1], atol=0.01)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_hermite_polynomials_are_orthogonal(degree):
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights /= np.sqrt(2 * np.pi)
    ours = hermite(degree)(jnp.asarray(nodes, jnp.float32))
    for other in range(1, 6):
        theirs = np.polynomial.hermite_e.hermeval(nodes, [0] * other + [1])
        expected = math.factorial(degree) if other == degree else 0
        np.testing.assert_allclose(
            np.sum(weights * ours * theirs), expected, rtol=1e-4, atol=1e-3
        )


def test_what_is_refused():
    with pytest.raises(ValueError, match="width must be an int of at least 1"):
        CommitteeMachine(3, 0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"inputs must have shape \(n, 3\)"):
        build()(jnp.ones(3))
    with pytest.raises(ValueError, match="degree must be an int of at least 1"):
        hermite(0)
