import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from experiments.grokking import diagnostics
from experiments.grokking.config import Config
from helpers.checkout.grokking_runs import one_member


def test_by_hand():
    params = {"w": jnp.array([[3.0, 4.0]]), "scale": jnp.ones(2)}
    state = (
        optax.ScaleByAdamState(
            count=jnp.array(1),
            mu=params,
            nu={"w": jnp.array([[4.0, 0.0]]), "scale": jnp.ones(2)},
        ),
        nap_optax.MeasureElrState({"w": jnp.array(0.1), "scale": jnp.array(9.0)}),
        {"last_learning_rate": jnp.array(0.5)},
    )
    grads = {"w": jnp.array([[6.0, 0.0]]), "scale": 100 * jnp.ones(2)}
    logits = jnp.array([[30.0, 0.0, 10.0], [1.0, 3.0, 0.0]])
    got = diagnostics.instability(
        params, state, grads, logits, jnp.array([0, 0]), b2=0.5, eps=1e-8
    )
    assert {name: value.shape for name, value in got.items()} == dict.fromkeys(got, ())
    # v is (.5 * 4 + .5 * 36) / (1 - .5²), so g²/v 36 / (80 / 3); where both are zero it
    # is 0. The scale is no matrix.
    expected = (36 * 3 / 80 / 2) ** 0.5
    np.testing.assert_allclose(got["gradient_over_memory"], expected, rtol=1e-6)
    np.testing.assert_allclose(got["zero_gradient_fraction"], 0.5)
    np.testing.assert_allclose(got["largest_relative_update"], 0.1, rtol=1e-6)
    # 0.1 times the norm 5, over the root of 2 weights and the rate.
    np.testing.assert_allclose(got["update_rms"], 0.5 / 2**0.5 / 0.5, rtol=1e-6)
    np.testing.assert_allclose(got["logit_gap"], (20 - 2) / 2)
    np.testing.assert_allclose(got["zero_loss_fraction"], 0.5)


def test_gradients_that_keep_their_size_have_a_ratio_of_one():
    params = {"w": jnp.ones((2, 2))}
    tx = optax.scale_by_adam(b2=0.999)
    state, rest = (
        tx.init(params),
        {
            "last_learning_rate": jnp.array(0.0),
            "relative_update": {"w": jnp.array(0.0)},
        },
    )
    for _ in range(3):
        got = diagnostics.instability(
            params,
            (state, rest),
            params,
            jnp.zeros((1, 2)),
            jnp.array([0]),
            b2=0.999,
            eps=1e-8,
        )
        np.testing.assert_allclose(got["gradient_over_memory"], 1, rtol=1e-3)
        assert got["update_rms"] == 0  # at a rate of zero, not 0 / 0
        _, state = tx.update(params, state)


@pytest.mark.slow
def test_a_run_logs_them_and_they_change_nothing():
    config = Config(modulus=5, train_fraction=0.5, head_dim=2, mlp_dim=8)
    logged = []
    for diagnose in (False, True):
        experiment, state, *inputs = one_member(
            dataclasses.replace(config, diagnose=diagnose)
        )
        state = jax.jit(experiment.step)(state, *inputs)
        logged.append(jax.jit(experiment.evaluate)(state, *inputs)[1])
    plain, more = logged
    assert set(more) - set(plain) == {
        "gradient_over_memory",
        "update_rms",
        "largest_relative_update",
        "logit_gap",
        "zero_gradient_fraction",
        "zero_loss_fraction",
    }
    for name, value in plain.items():
        np.testing.assert_allclose(more[name], value, rtol=1e-5, err_msg=name)
