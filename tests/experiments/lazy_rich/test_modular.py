"""Modular addition: its pairs, its loss, its rate and its summary."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.harness.members import hyperparameters
from experiments.lazy_rich.families import describe, in_words, summarize
from experiments.lazy_rich.modular.config import Config
from experiments.lazy_rich.modular.problem import Addition
from experiments.lazy_rich.training import Training

CONFIG = Config(modulus=5, width=8, train_fraction=0.6)


def start(config):
    hyper = hyperparameters(config)
    own = Training(config, Addition(config))
    state, fixed = own.init(jnp.uint32(0), hyper)
    return own, hyper, state, fixed


def test_the_split_holds_every_pair_once():
    split = Addition(CONFIG).data(jax.random.key(0), None)
    assert len(split.train.x) == 15
    pairs = {
        (int(x), int(y)) for part in split for x, y in zip(part.x, part.y, strict=True)
    }
    assert pairs == {(x, y) for x in range(5) for y in range(5)}


def test_the_loss_is_the_mean_over_pairs_and_outputs():
    split = Addition(CONFIG).data(jax.random.key(0), None)
    sums = np.asarray((split.train.x + split.train.y) % 5)
    # The zero network: one output of five is wrong by one.
    zero = Addition(CONFIG).loss(lambda x, _: jnp.zeros((len(x), 5)), split)
    np.testing.assert_allclose(zero, 1 / 5, rtol=1e-6)
    outputs = np.random.default_rng(0).normal(size=(15, 5))
    found = Addition(CONFIG).loss(lambda *_: jnp.asarray(outputs), split)
    np.testing.assert_allclose(found, np.mean((np.eye(5)[sums] - outputs) ** 2), 1e-5)


@pytest.mark.parametrize("scaling", ["ntk", "mean_field"])
def test_an_update_is_gradient_descent_at_the_lazy_rate(scaling):
    config = dataclasses.replace(
        CONFIG, alpha=3.0, learning_rate=2.0, scaling=scaling, center=False
    )
    own, hyper, state, fixed = start(config)
    model = own.problem.model(hyper, nnx.Rngs(0))
    graph, template = nnx.split(model)

    def loss(params):
        nnx.replace_by_pure_dict(template, params)
        outputs = 3 * nnx.merge(graph, template)(*fixed.data.train)
        sums = sum(fixed.data.train) % 5
        return jnp.mean((jax.nn.one_hot(sums, 5) - outputs) ** 2)

    rate = 2.0 * (8 if scaling == "mean_field" else 1) / 9
    grads = jax.grad(loss)(state.params)
    expected = jax.tree.map(lambda w, g: w - rate * g, state.params, grads)
    after = own.step(state, hyper, fixed).params
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4),
        after,
        expected,
    )


@pytest.mark.parametrize("center", [True, False])
def test_a_centred_network_starts_at_zero(center):
    own, hyper, state, fixed = start(dataclasses.replace(CONFIG, center=center))
    measured = own.evaluate(state, hyper, fixed)[1]
    assert (measured["train_loss"] == pytest.approx(0.2)) == center
    assert measured["weight_norm_ratio"] == 1
    assert measured["parameter_movement"] == 0


def test_the_summary_says_when():
    rows = [
        {
            **{"step": step, "seed": 0, "train_loss": 0.2 / step, "test_loss": 0.3},
            **{"train_accuracy": train, "test_accuracy": test},
            **{"weight_norm_ratio": 1.5, "parameter_movement": 0.5},
        }
        for step, train, test in ((10, 0.5, 0.1), (20, 0.96, 0.1), (30, 1.0, 0.99))
    ]
    summary = summarize(rows, CONFIG)
    assert summary["first_step_train_accuracy_95"] == 20
    assert summary["first_step_test_accuracy_95"] == 30
    assert in_words(rows, CONFIG) == "fitted at update 20, generalised at update 30"
    assert describe(summary, CONFIG) == (
        "accuracy 1.000 on training, 0.990 on test examples, weight norm times 1.5"
    )


def learned(rows):
    return tuple(
        summarize(rows, CONFIG)[f"first_step_{name}_accuracy_95"]
        for name in ("train", "test")
    )


def run(config, num_steps, eval_every=50):
    """Rows of a run, without files."""
    hyper = hyperparameters(config)
    own = Training(config, Addition(config))

    @jax.jit
    def whole(seed):
        state, fixed = own.init(seed, hyper)

        def chunk(state, _):
            state, _ = jax.lax.scan(
                lambda state, _: (own.step(state, hyper, fixed), None),
                state,
                length=eval_every,
            )
            return own.evaluate(state, hyper, fixed)

        return jax.lax.scan(chunk, state, length=num_steps // eval_every)[1]

    measured = {
        name: np.asarray(value)
        for name, value in whole(jnp.uint32(config.seed)).items()
    }
    return [
        {"step": eval_every * (i + 1), "seed": config.seed}
        | {name: float(value[i]) for name, value in measured.items()}
        for i in range(num_steps // eval_every)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_groks_as_the_paper_says(seed):
    """p = 23, N = 100: training pairs near 2,000 updates, test pairs later."""
    rows = run(Config(seed=seed, center=False), 8000)
    fitted, generalised = learned(rows)
    assert 1500 <= fitted <= 3000
    assert 3000 <= generalised <= 6500
    assert rows[-1]["weight_norm_ratio"] > 1.4


@pytest.mark.thorough
def test_the_lazier_the_later():
    times = [learned(run(Config(alpha=alpha), 8000)) for alpha in (0.25, 0.5, 1.0)]
    tests = [test for _, test in times]
    delays = [test - train for train, test in times]
    assert tests == sorted(tests)
    assert delays == sorted(delays)
