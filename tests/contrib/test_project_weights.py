"""The port of the projection for optax computes what the library computes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers import port

pytestmark = pytest.mark.slow

if not port.FOLDER.exists():
    pytest.skip(
        "the port is not here: these are the tests of a wheel", allow_module_level=True
    )
ported = port.load("_project_weights")


def make_tree(seed: int, dtype: Any) -> Any:
    draw = np.random.default_rng(seed).normal
    tree = {"kernel": draw(size=(3, 4)), "stack": draw(size=(2, 3, 2))}
    tree |= {"bias": draw(size=3), "dead": np.full((2, 2), min(seed, 1))}
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def run(projection: Any, dtype: Any) -> Any:
    """The parameters after three steps, and the norms that are held."""
    tx = optax.chain(optax.sgd(0.1, momentum=0.9), projection)
    params = make_tree(0, dtype)
    state, update = tx.init(params), jax.jit(tx.update)
    for seed in (1, 2, 3):
        updates, state = update(make_tree(seed, dtype), state, params)
        params = optax.apply_updates(params, updates)
    norms = optax.tree.get(state, "target_norm")
    return params, jax.tree.leaves(norms)


@pytest.mark.filterwarnings("ignore:project_weights. 'dead' is zero")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"radius": 2.0},
        {"mask": True},
        {"mask": {"kernel": True, "stack": False, "bias": True, "dead": False}},
        {"radius": 0.5, "mask": lambda tree: jax.tree.map(lambda x: x.ndim < 3, tree)},
    ],
    ids=["default", "radius", "all", "mask", "radius-callable"],
)
def test_it_computes_what_the_library_computes(options: Any, dtype: Any) -> None:
    want = run(nap_optax.project_weights(**options), dtype)
    got = run(ported.project_weights(**options), dtype)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
