"""A projected update, and weights to try it on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nap_optax import project_weights

KERNEL = jnp.array([[3.0, 0.0], [0.0, 4.0]])  # norm 5; units (columns) 3 and 4
UPDATE = jnp.array([[3.0, 0.0], [0.0, 4.0]])  # KERNEL + UPDATE = 2 KERNEL: norm 10


def project(
    params: Any, updates: Any, *args: Any, init: Any = None, **kwargs: Any
) -> Any:
    tx = project_weights(*args, **kwargs)
    return tx.update(updates, tx.init(params if init is None else init), params)[0]


def norms(tree: Any, axis: Any = None) -> np.ndarray:
    return np.linalg.norm(np.asarray(tree, np.float64), axis=axis)


def normal(seed: int, *shape: int, dtype: Any = jnp.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)
