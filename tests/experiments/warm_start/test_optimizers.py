"""Schedules and methods, as the config names them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from experiments.harness.members import hyperparameters
from experiments.warm_start import optimizers
from experiments.warm_start.config import Config

BASE = {
    "dataset": "fashion_mnist",
    "num_train_examples": 100,
    "batch_size": 10,
    "epochs_per_phase": 1,
    "learning_rate": 0.1,
    "low_learning_rate": 0.0,
    "warmup_fraction": 0.2,
}
PARAMS = {
    "conv_0": {"kernel": jnp.full((1, 1, 1, 4), 0.5)},
    "norm_0": {"scale": jnp.ones(4)},
    "logits": {"kernel": jnp.asarray([[0.6], [0.8]])},
}
FRESH = jax.tree.map(lambda leaf: leaf + 1, PARAMS)


def make(**settings):
    config = Config(**(BASE | settings))
    hyper = hyperparameters(config)
    return config, hyper, optimizers.make_optimizer(config, hyper)


def learning_rates(num_steps=20, losses=None, **settings):
    """The rates that a run uses, data coming when the config says."""
    config, _, tx = make(**settings)
    params, state = PARAMS, tx.init(PARAMS)
    rates = []
    update = jax.jit(tx.update)
    for step in range(num_steps):
        asks = optimizers.rewarms_with_data(config)
        data_arrive = step > 0 and step % config.phase_steps == 0
        _, state = update(
            params,
            state,
            params,
            value=1.0 if losses is None else losses[step],
            rewarm=asks and data_arrive,
        )
        rates.append(float(optax.tree.get(state, "last_learning_rate")))
    return np.asarray(rates)


@pytest.mark.slow
def test_aligned_cycles_begin_when_data_come():
    rates = learning_rates(schedule="aligned")
    np.testing.assert_allclose(rates[:3], [0, 0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(rates[10:], rates[:10], rtol=1e-6)


def test_a_growing_cycle_has_a_higher_peak():
    rates = learning_rates(schedule="growing", growth=3.0)
    np.testing.assert_allclose(rates[10:], 3 * rates[:10], rtol=1e-5)


def test_five_cycles_go_on_whenever_data_come():
    rates = learning_rates(schedule="five_cycles")
    np.testing.assert_allclose(rates.reshape(5, 4), [rates[:4]] * 5, rtol=1e-5)


def test_a_single_cycle_spans_all_phases():
    rates = learning_rates(schedule="single_cycle")
    assert rates.argmax() == 4
    assert (np.diff(rates[4:]) < 0).all()


@pytest.mark.slow
def test_a_jump_of_the_loss_re_warms_cusum():
    rng = np.random.default_rng(0)
    losses = 1 + 0.05 * rng.standard_normal(600)
    losses[400:] += 3
    rates = learning_rates(600, losses.tolist(), schedule="cusum", epochs_per_phase=40)
    assert (rates[400:403] < 1e-6).all()  # the cycle of 400 updates is over
    assert rates[403:500].max() > 0.05


def update_once(grads=None, **settings):
    """Updates of the first step at the peak rate, without Adam's part."""
    _, _, tx = make(warmup_fraction=0.0, project=False, **settings)
    grads = optax.tree.zeros_like(PARAMS) if grads is None else grads
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS, value=1.0)
    return updates


@pytest.mark.slow
def test_weight_decay_is_decoupled_and_spares_scales():
    updates = update_once(method="weight_decay", strength=0.5)
    np.testing.assert_allclose(
        updates["logits"]["kernel"], [[-0.03], [-0.04]], rtol=1e-6
    )
    np.testing.assert_array_equal(updates["norm_0"]["scale"], np.zeros(4))


def test_weights_are_clipped_at_their_bound():
    # The bound is strength / sqrt(inputs): 0.5 / sqrt(2) for the read-out.
    updates = update_once(method="weight_clipping", strength=0.5)
    clipped = PARAMS["logits"]["kernel"] + updates["logits"]["kernel"]
    np.testing.assert_allclose(clipped, [[0.5 / 2**0.5]] * 2, rtol=1e-6)


def test_layers_have_the_rates_that_are_named():
    ones = optax.tree.ones_like(PARAMS)
    constant, fast, slow, even = (
        update_once(ones, layer_rates=rates)
        for rates in ("constant", "fast_features", "slow_features", "even_ratio")
    )

    def factor(updates, layer):
        own = updates[layer]["kernel"] / constant[layer]["kernel"]
        return float(own.reshape(-1)[0])

    assert factor(fast, "logits") == pytest.approx(0.1)
    assert factor(fast, "conv_0") == pytest.approx(1)
    assert factor(slow, "logits") == pytest.approx(1)
    assert factor(slow, "conv_0") == pytest.approx(0.1)
    # Mean |w| of .5 and .7: .5667 over all six.
    assert factor(even, "conv_0") == pytest.approx(0.5 / (3.4 / 6))
    assert factor(even, "logits") == pytest.approx(0.7 / (3.4 / 6))


def change(**settings):
    config, hyper, _ = make(**settings)
    assert optimizers.changes_weights(config)
    return optimizers.change_weights(config, hyper, PARAMS, FRESH)


def test_shrink_and_perturb_mixes_in_a_fresh_network():
    params = change(method="shrink_and_perturb", strength=0.75)
    np.testing.assert_allclose(
        params["logits"]["kernel"], [[0.6 + 0.25], [0.8 + 0.25]], rtol=1e-6
    )


def test_a_last_layer_reset_replaces_the_output_layer():
    params = change(method="last_layer_reset")
    chex.assert_trees_all_close(params, PARAMS | {"logits": FRESH["logits"]})


def test_a_full_reset_replaces_all():
    chex.assert_trees_all_close(change(method="full_reset"), FRESH)


@pytest.mark.parametrize(
    ("method", "begins_again"),
    [
        ("full_reset", {"logits", "conv_0"}),
        ("last_layer_reset", {"logits"}),
        ("shrink_and_perturb", set()),
    ],
)
def test_adam_begins_again_for_what_is_reset(method, begins_again):
    config, _, tx = make(method=method, project=False, warmup_fraction=0.0)
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    state = tx.init(PARAMS)
    update = jax.jit(tx.update)
    for step in range(config.phase_steps + 1):
        # Adam's first update has the size of the rate, whatever the gradient.
        comes = step == config.phase_steps
        scaled = optax.tree.scale(100.0 if comes else 1.0, grads)
        updates, state = update(scaled, state, PARAMS, value=1.0, rewarm=comes)
    rate = float(optax.tree.get(state, "last_learning_rate"))
    for layer in ("logits", "conv_0"):
        size = -float(updates[layer]["kernel"].reshape(-1)[0]) / rate
        if layer in begins_again:
            assert size == pytest.approx(1, rel=1e-4)
        else:
            assert size < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("method", ["l2_init", "spectral"])
def test_a_term_of_the_loss_goes_through_adam(method):
    config, _, tx = make(method=method, project=False, warmup_fraction=0.0)
    moved = jax.tree.map(lambda leaf: 2 * leaf, PARAMS)
    state = tx.init(PARAMS)
    updates, _ = tx.update(optax.tree.zeros_like(PARAMS), state, moved, value=1.0)
    # Adam's first update has the size of the rate, towards smaller weights.
    np.testing.assert_allclose(updates["logits"]["kernel"], -0.1, rtol=1e-3)
    assert not optimizers.changes_weights(config)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("l2_init", nap_optax.l2_init(0.25)),
        ("spectral", nap_optax.spectral_regularization(0.25)),
    ],
)
def test_a_term_of_the_loss_is_the_methods_at_its_strength(method, expected):
    config, hyper, _ = make(method=method, strength=0.25)
    term = optimizers._loss_term(config, hyper.method_strength)
    moved = jax.tree.map(lambda leaf: 2 * leaf, PARAMS)
    gradients = [
        tx.update(optax.tree.zeros_like(PARAMS), tx.init(PARAMS), moved)[0]
        for tx in (term, expected)
    ]
    chex.assert_trees_all_close(*gradients, rtol=1e-6)


def test_every_numeric_setting_of_a_method_may_be_traced():
    config, hyper, _ = make(method="shrink_and_perturb")

    def rate(hyper):
        tx = optimizers.make_optimizer(config, hyper)
        updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS, value=1.0)
        return updates["logits"]["kernel"]

    np.testing.assert_array_equal(jax.jit(rate)(hyper), rate(hyper))
