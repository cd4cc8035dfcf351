"""The task, and a run as pure functions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from helpers.checkout.parity.config import Config


class State(NamedTuple):
    params: dict
    train_loss: jax.Array


def all_inputs(config):
    """What every member reads: each input in ±1, and its parity."""
    bits = np.indices((2,) * config.num_bits).reshape(config.num_bits, -1).T
    return jnp.asarray(2.0 * bits - 1), jnp.asarray(bits.sum(1) % 2, jnp.float32)


class Parity:
    has_convolutions = False
    compiler_options = {}  # noqa: RUF012

    def __init__(self, config: Config):
        self.config = config

    def init(self, seed, hyper, inputs, labels):
        order_key, *keys = jax.random.split(jax.random.key(seed), 3)
        shapes = (self.config.num_bits, self.config.width), (self.config.width,)
        params = {
            name: jax.random.normal(key, shape) / shape[0] ** 0.5
            for name, key, shape in zip(("inner", "outer"), keys, shapes, strict=True)
        }
        order = jax.random.permutation(order_key, len(labels))
        train, test = jnp.split(order, 2)
        return State(params, jnp.zeros([])), {"train": train, "test": test}

    def step(self, state, hyper, split, inputs, labels):
        rows = split["train"]
        loss, grads = jax.value_and_grad(mean_loss)(
            state.params, inputs[rows], labels[rows]
        )
        rate = hyper.learning_rate
        params = jax.tree.map(lambda w, g: w - rate * g, state.params, grads)
        return State(params, loss)

    def evaluate(self, state, hyper, split, inputs, labels):
        right = (logits(state.params, inputs) > 0) == (labels > 0)
        shares = {
            f"{name}_accuracy": right[rows].mean() for name, rows in split.items()
        }
        return state, {"train_loss": state.train_loss, **shares}


def logits(params, inputs):
    return jax.nn.relu(inputs @ params["inner"]) @ params["outer"]


def mean_loss(params, inputs, labels):
    return optax.sigmoid_binary_cross_entropy(logits(params, inputs), labels).mean()
