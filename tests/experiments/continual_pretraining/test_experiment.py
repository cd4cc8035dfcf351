"""What a step does, at a tiny size; what every family has: `test_families.py`."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.continual_pretraining import corpora, optimizers
from experiments.continual_pretraining.experiment import Experiment
from experiments.continual_pretraining.family import FAMILY, num_parameters
from experiments.continual_pretraining.task import make_texts
from experiments.harness import family
from experiments.harness.members import hyperparameters
from experiments.harness.messages import UserError
from helpers.checkout.text_runs import MADE_UP, TINY

ADAMW = dataclasses.replace(TINY, optimizer="adamw", weight_decay=0.1)


@functools.cache
def run(config):
    """The rows of a run's evaluations, one after each update."""
    experiment, hyper = Experiment(config), hyperparameters(config)
    texts = make_texts(config, MADE_UP)
    state, key = experiment.init(np.uint32(0), hyper, texts)

    @jax.jit
    def step(state):
        return experiment.evaluate(
            experiment.step(state, hyper, key, texts), hyper, key, texts
        )

    rows = []
    for _ in range(config.num_steps):
        state, row = step(state)
        rows.append(jax.device_get(row))
    return rows


def column(rows, name):
    return np.asarray([row[name] for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["nap", "hyperball"])
def test_norms_are_held_and_the_rate_rises_again_with_the_corpus(optimizer):
    rows = run(dataclasses.replace(TINY, optimizer=optimizer))
    norms = column(rows, "weight_norm")
    np.testing.assert_allclose(norms, norms[0], rtol=1e-5)
    rates = column(rows, "learning_rate")
    # Zero, half of the peak, the peak, and down again; once for each corpus.
    np.testing.assert_allclose(rates[:3], [0, 0.005, 0.01], rtol=1e-5)
    np.testing.assert_allclose(rates[6:], rates[:6])
    assert column(rows, "num_rewarms").tolist() == 6 * [0] + 6 * [1]
    assert rows[-1]["last_rewarm_step"] == TINY.phase_steps


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["nap", "hyperball"])
def test_the_readout_may_be_free(optimizer):
    config = dataclasses.replace(TINY, optimizer=optimizer, project_readout=False)
    rows = run(config)
    assert np.ptp(column(rows, "weight_norm.unembedding")) > 1e-3
    for layer in ("byte_embedding", "blocks/0/mlp_out"):
        norms = column(rows, f"weight_norm.{layer}")
        np.testing.assert_allclose(norms, norms[0], rtol=1e-5)


@pytest.mark.slow
def test_the_relative_update_of_hyperball_is_the_rate():
    rows = run(dataclasses.replace(TINY, optimizer="hyperball"))
    rates = column(rows, "learning_rate")
    relative = column(rows, "relative_update")
    np.testing.assert_allclose(relative, rates, rtol=0.02, atol=1e-6)


@pytest.mark.slow
def test_adamw_is_free_and_its_single_cosine_is_not_rewarmed():
    rows = run(dataclasses.replace(ADAMW, schedule="single_cosine"))
    assert np.ptp(column(rows, "weight_norm")) > 1e-3
    rates = column(rows, "learning_rate")
    assert rates.argmax() == 2
    assert (np.diff(rates[2:]) < 0).all()
    assert rows[-1]["num_rewarms"] == 0


@pytest.mark.slow
def test_a_corpus_is_learned_from_its_own_phase_on():
    config = dataclasses.replace(TINY, phase_steps=40, learning_rate=0.03, context=16)
    rows = run(config)
    old, new = column(rows, "old_loss"), column(rows, "new_loss")
    assert old[39] < 0.6 * old[0]
    assert new[39] > 0.9 * new[0]
    assert new[-1] < 0.6 * new[39]
    # The training loss is that of the batches since the evaluation before.
    train = column(rows, "train_loss")
    assert train[40] > 1.5 * train[39]


@pytest.mark.slow
def test_layers_are_named_and_make_up_the_whole():
    row = run(dataclasses.replace(TINY, phase_steps=3))[-1]
    layers = [name for name in row if name.startswith("weight_norm.")]
    assert "weight_norm.byte_embedding" in layers
    assert "weight_norm.blocks/0/mlp_in" in layers
    assert len(layers) == 9
    whole = sum(row[name] ** 2 for name in layers) ** 0.5
    assert row["weight_norm"] == pytest.approx(whole, rel=1e-5)
    relative = [row[f"relative_update.{name.partition('.')[2]}"] for name in layers]
    assert row["relative_update"] == pytest.approx(np.median(relative), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["nap", "hyperball", "adamw"])
def test_every_optimizer_is_rewarmed_by_its_detector(optimizer):
    config = dataclasses.replace(TINY, optimizer=optimizer, schedule="cusum")
    tx = optimizers.make_optimizer(config, hyperparameters(config))
    params = {"kernel": jnp.eye(3)}

    def step(carry, loss):
        _, state = tx.update(params, carry, params, value=loss)
        return state, optax.tree.get(state, "num_rewarms")

    noise = 0.1 * jax.random.normal(jax.random.key(0), (600,))
    losses = 2 + noise + (jnp.arange(600) >= 500)
    _, rewarms = jax.lax.scan(step, tx.init(params), losses)
    assert rewarms[499] == 0
    assert rewarms[520] == 1


def test_weight_decay_spares_the_gains():
    tx = optimizers.make_optimizer(ADAMW, hyperparameters(ADAMW))
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2)}
    zeros = optax.tree.zeros_like(params)
    state = tx.init(params)
    for _ in range(2):  # the first rate is zero
        updates, state = tx.update(zeros, state, params, value=1.0)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.005, rtol=1e-5)
    assert not updates["scale"].any()


def test_no_more_parameters_are_counted_than_there_are():
    experiment = Experiment(TINY)
    texts = make_texts(TINY, MADE_UP)
    state, _ = jax.eval_shape(
        experiment.init, np.uint32(0), hyperparameters(TINY), texts
    )
    matrices = [leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim == 2]
    assert sum(leaf.size for leaf in matrices) == num_parameters(TINY)


def test_resolving_says_which_corpora_they_are():
    resolved = FAMILY.resolve(TINY)
    assert resolved.corpora_digest == corpora.load().digest
    assert FAMILY.resolve(resolved) == resolved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpora_digest": "abc"}, "have the digest .*, not abc: use the Python"),
        ({"context": 10**6}, r"context=1000000: must be less than the \d+ bytes of"),
    ],
)
def test_other_texts_and_too_short_ones_are_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        FAMILY.resolve(dataclasses.replace(TINY, **changes))


@pytest.mark.slow
def test_a_run_is_not_continued_on_other_texts(tmp_path, monkeypatch):
    config = dataclasses.replace(TINY, run_directory=tmp_path / "run")
    family.run(FAMILY, FAMILY.resolve(config))
    monkeypatch.setattr(corpora, "load", lambda: MADE_UP)
    with pytest.raises(UserError, match=r"corpora_digest is .* there and made up"):
        family.run(FAMILY, FAMILY.resolve(config))
