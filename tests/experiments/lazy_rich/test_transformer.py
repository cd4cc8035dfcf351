"""The lazy transformer: its loss, and its size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import memory as machine
from experiments.harness.members import hyperparameters
from experiments.harness.messages import UserError
from experiments.lazy_rich.training import Network, Training
from experiments.lazy_rich.transformer.config import Config
from experiments.lazy_rich.transformer.family import memory, num_params
from experiments.lazy_rich.transformer.problem import Transformer

CONFIG = Config(modulus=5, num_heads=2, head_dim=4, mlp_dim=8)


def test_loss_and_accuracy_by_hand():
    data = Transformer(CONFIG).data(jax.random.key(0), None)

    def predict(x, y):
        # Right for every second pair, whose logit stands out by log 5.
        sums = (x + y + jnp.arange(len(x)) % 2) % 5
        return jnp.log(5.0) * jax.nn.one_hot(sums, 5)

    measured = Transformer(CONFIG).measure(Network(None, None, predict), data, None)
    num = len(data.train.x)
    right = (num + 1) // 2 / num
    np.testing.assert_allclose(measured["train_accuracy"], right, rtol=1e-6)
    # The sum of the exponentials is 9: 5 of the one that stands out, and 4.
    expected = np.log(9) - right * np.log(5)
    np.testing.assert_allclose(measured["train_loss"], expected, rtol=1e-5)


def test_it_has_no_normalisation_and_the_size_that_memory_counts():
    own = Training(CONFIG, Transformer(CONFIG))
    params = own.init(jnp.uint32(0), hyperparameters(CONFIG))[0].params
    leaves = jax.tree.leaves(params)
    assert all(leaf.ndim == 2 for leaf in leaves)
    # But for the rows of positions and of the three other tokens.
    assert sum(leaf.size for leaf in leaves) == num_params(CONFIG) + 8 * 8


def test_an_update_takes_what_memory_counts_and_not_many_times_as_much():
    config = Config()
    hyper = hyperparameters(config)
    own = Training(config, Transformer(config))
    state, fixed = jax.eval_shape(lambda seed: own.init(seed, hyper), jnp.uint32(0))
    step = jax.jit(lambda state, fixed: own.step(state, hyper, fixed))
    taken = step.lower(state, fixed).compile().memory_analysis().temp_size_in_bytes
    assert memory(config).step <= taken < 2 * memory(config).step


def test_how_many_numbers_there_are_is_a_question_of_memory(monkeypatch):
    large = dataclasses.replace(CONFIG, modulus=2000, train_fraction=0.1)
    monkeypatch.setattr(machine, "available", lambda **_: 8e9)
    machine.require(memory(CONFIG))
    # The logits of the test set alone are 29 GB.
    with pytest.raises(UserError, match=r"needs at least .* GB of memory"):
        machine.require(memory(large))
    with pytest.raises(ValueError, match="modulus"):
        dataclasses.replace(CONFIG, modulus=46_341)  # pairs of it are not in int32
