"""The port of re-warming for optax computes what the library computes."""

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
ported = port.load("_scale_by_rewarming")
SCHEDULE = nap_optax.schedules.warmup_cosine_decay(0.1, warmup_steps=2, decay_steps=9)
FIELDS = ("steps_since_rewarm", "num_rewarms", "last_learning_rate")


def run(rewarming: Any, signals: Any, dtype: Any) -> Any:
    """Updates and state after each of some signals."""
    grads = {"kernel": jnp.asarray([[1.5, -2.0]], dtype)}
    state, update = rewarming.init(grads), jax.jit(rewarming.update)
    found = []
    for signal in signals:
        updates, state = update(grads, state, grads, rewarm=jnp.asarray(signal))
        found.append((updates, *(optax.tree.get(state, field) for field in FIELDS)))
    return found


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("period", [None, 1, 4])
@pytest.mark.parametrize("flip_sign", [True, False])
def test_it_computes_what_the_library_computes(
    period: int | None, flip_sign: bool, dtype: Any
) -> None:
    signals = np.random.default_rng(0).random(20) < 0.15
    signals[0] = True
    detector = None if period is None else nap_optax.every(period)
    want = run(
        nap_optax.scale_by_rewarming(SCHEDULE, detector, flip_sign=flip_sign),
        signals,
        dtype,
    )
    got = run(
        ported.scale_by_rewarming(SCHEDULE, period, flip_sign=flip_sign), signals, dtype
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
