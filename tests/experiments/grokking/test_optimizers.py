"""The optimizers that runs may choose, at a tiny size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.grokking import optimizers
from experiments.grokking.config import Config
from experiments.harness.members import hyperparameters
from helpers.checkout.grokking_runs import one_member

TABLES = {"token_embedding", "position_embedding"}
TINY = Config(
    modulus=5,
    train_fraction=0.5,
    warmup_steps=0,
    num_heads=2,
    head_dim=4,
    mlp_dim=16,
    normalize=True,
)

pytestmark = pytest.mark.slow


def updated(config, num_steps=1):
    """The state before and after some updates."""
    experiment, before, *inputs = one_member(config)
    step, after = jax.jit(experiment.step), before
    for _ in range(num_steps):
        after = step(after, *inputs)
    return before, after


@pytest.fixture(scope="module")
def evaluated():
    """The parameters before and after an update, and its evaluation."""
    experiment, before, *inputs = one_member(TINY)
    after, metrics = jax.jit(
        lambda state: experiment.evaluate(experiment.step(state, *inputs), *inputs)
    )(before)
    return before.params, after.params, metrics


def norms(params):
    """Of the matrices."""
    return np.asarray(
        [jnp.linalg.norm(w) for w in jax.tree.leaves(params) if w.ndim == 2]
    )


def test_grokfast_by_hand():
    tx = optimizers.scale_by_grokfast(decay=0.5, amplitude=2.0)
    grads = jnp.array([1.0])
    state = tx.init(grads)
    updates, state = tx.update(grads, state)
    # The mean is .5 * 0 + .5 * 1 = .5, so 1 + 2 * .5; then .5 * .5 + .5 * 3 = 1.75.
    np.testing.assert_allclose(updates, [2.0])
    updates, state = tx.update(3 * grads, state)
    np.testing.assert_allclose(updates, [6.5])


def test_the_radius_is_multiplied_and_held(evaluated):
    plain, *_ = evaluated
    before, after = updated(dataclasses.replace(TINY, radius_multiplier=2.0), 2)
    np.testing.assert_allclose(norms(before.params), 2 * norms(plain), rtol=1e-6)
    np.testing.assert_allclose(norms(after.params), 2 * norms(plain), rtol=1e-5)
    scales = [w for w in jax.tree.leaves(before.params) if w.ndim == 1]
    assert all((scale == 1).all() for scale in scales)


def test_hyperballs_rate_is_the_relative_update():
    config = dataclasses.replace(TINY, optimizer="hyperball", learning_rate=0.1)
    before, after = updated(config)
    np.testing.assert_allclose(norms(after.params), norms(before.params), rtol=1e-5)
    relative = optax.tree.get(after.opt_state, "relative_update")
    relative = relative["blocks"][0]["key"]["kernel"]
    # A chord of the sphere: shorter than 0.1, most of all if the update points inwards.
    assert 0.09 < relative <= 0.1


def test_the_median_of_the_relative_updates_is_logged(evaluated):
    before, after, metrics = evaluated
    change = norms(jax.tree.map(jnp.subtract, after, before))
    expected = np.median(change / norms(before))
    assert float(metrics["relative_update"]) == pytest.approx(expected, rel=1e-4)


def test_the_stable_rank_is_logged(evaluated):
    *_, metrics = evaluated
    assert metrics["attention_output_stable_rank"] >= 1
    assert metrics["attention_output_stable_rank"] < metrics["attention_output_rank"]


def test_muon_leaves_the_tables_and_the_read_out_to_adam():
    before, after = updated(dataclasses.replace(TINY, optimizer="muon", project=False))
    kept = {"token_embedding", "position_embedding", "unembedding"}
    new_leaves = jax.tree.leaves(after.params)
    for (path, old), new in zip(
        jax.tree.leaves_with_path(before.params), new_leaves, strict=True
    ):
        name = str(path[-2].key)
        change = np.asarray(new - old)
        moved = np.abs(change[np.abs(change) > 1e-4])
        # Adam's first update is as large for all weights that have a gradient.
        alike = moved.max() < 1.1 * moved.min()
        assert alike == (name in kept or "norm" in name), name
    assert kept < set(before.params)


def test_what_is_projected():
    left_out = {"project_tables": TABLES, "project_readout": {"unembedding"}}
    for field, free in left_out.items():
        before, after = updated(dataclasses.replace(TINY, **{field: False}), 2)
        for (path, old), new in zip(
            jax.tree.leaves_with_path(before.params),
            jax.tree.leaves(after.params),
            strict=True,
        ):
            if old.ndim == 2:
                drift = abs(jnp.linalg.norm(new) / jnp.linalg.norm(old) - 1)
                assert (drift > 1e-4) == (str(path[-2].key) in free), path


def test_the_cap_on_the_relative_update():
    config = dataclasses.replace(TINY, project=False)
    for cap in (None, 1e-3):
        _, after = updated(dataclasses.replace(config, max_elr=cap))
        relative = optax.tree.get(after.opt_state, "relative_update")
        largest = max(
            share
            for share, weights in zip(
                jax.tree.leaves(relative), jax.tree.leaves(after.params), strict=True
            )
            if weights.ndim == 2
        )
        assert (largest <= 1.001e-3) == (cap is not None)


def test_adams_numbers_are_the_configs():
    hyper = hyperparameters(
        dataclasses.replace(TINY, adam_b2=0.5, adam_eps=3.0, learning_rate=1.0)
    )
    config = dataclasses.replace(TINY, project=False)
    tx = optimizers.make_optimizer(config, hyper)
    params = {"scale": jnp.ones(1)}
    state = tx.init(params)
    for gradient in (4.0, 0.0):
        updates, state = tx.update({"scale": jnp.full(1, gradient)}, state, params)
    # m = .9 .1 4 / (1 - .81), v = .5 .5 16 / (1 - .25)
    expected = -(0.36 / 0.19) / ((4 / 0.75) ** 0.5 + 3)
    np.testing.assert_allclose(updates["scale"], expected, rtol=1e-5)


def test_an_updates_root_mean_square_is_clipped():
    hyper = hyperparameters(dataclasses.replace(TINY, learning_rate=1.0))
    config = dataclasses.replace(TINY, project=False, max_update_rms=0.25)
    tx = optimizers.make_optimizer(config, hyper)
    params = {"kernel": jnp.ones((2, 2))}
    updates, _ = tx.update(params, tx.init(params), params)  # Adam's first are all 1
    np.testing.assert_allclose(updates["kernel"], -0.25, rtol=1e-5)


def test_grokfast_descends():
    _, after = updated(dataclasses.replace(TINY, optimizer="grokfast"), 15)
    assert after.train_loss < 0.9 * np.log(TINY.modulus)


def test_an_optimizer_takes_traced_numbers():
    hyper = hyperparameters(TINY)

    def norm(rate):
        tx = optimizers.make_optimizer(TINY, hyper._replace(learning_rate=rate))
        params = {"kernel": jnp.eye(2), "scale": jnp.ones(2)}
        updates, _ = tx.update(params, tx.init(params), params)
        return optax.tree.norm(updates["scale"])

    slow, fast = jax.vmap(norm)(jnp.array([0.1, 0.2])).tolist()
    assert fast == pytest.approx(2 * slow, rel=1e-5)
