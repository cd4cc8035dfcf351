import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.grokking import losses


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_values_and_gradients_are_those_of_float64(scale):
    random = np.random.default_rng(0)
    logits = scale * random.normal(size=(64, 11))
    labels = random.integers(0, 11, 64)
    logits[np.arange(32), labels[:32]] += 3 * scale  # half of them confident

    def gradient(fn, values):
        return jax.grad(lambda z: fn(z, labels).sum())(values)

    single = jnp.asarray(logits, jnp.float32)
    got = losses.precise_cross_entropy(single, labels)
    got_gradient = gradient(losses.precise_cross_entropy, single)
    with jax.enable_x64(True):
        # Of the same numbers; their rounding to float32 is not what is tested.
        double = jnp.asarray(np.asarray(single, np.float64))
        plain = optax.softmax_cross_entropy_with_integer_labels
        # In float64 the plain form is exact down to losses of 1e-16.
        large = np.asarray(plain(double, labels)) > 1e-10
        expected = np.asarray(plain(double, labels))
        expected_gradient = np.asarray(gradient(plain, double))
    np.testing.assert_allclose(got[large], expected[large], rtol=1e-4)
    # Below that even float64's is rounded.
    np.testing.assert_allclose(got_gradient, expected_gradient, rtol=2e-3, atol=1e-14)


def test_where_the_plain_loss_is_zero_this_one_is_not():
    logits, label = jnp.array([[40.0, 0.0, 0.0]]), jnp.array([0])
    plain = optax.softmax_cross_entropy_with_integer_labels
    gradients = [
        jax.grad(lambda z, fn=fn: fn(z, label)[0])(logits)[0]
        for fn in (plain, losses.precise_cross_entropy)
    ]
    assert plain(logits, label)[0] == 0
    assert gradients[0][0] == 0
    assert losses.precise_cross_entropy(logits, label)[0] == pytest.approx(
        2 * np.exp(-40), rel=1e-5
    )
    assert gradients[1][0] == pytest.approx(-2 * np.exp(-40), rel=1e-5)
