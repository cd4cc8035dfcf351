"""Projection of groups: leaves with one norm together."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers.projecting import KERNEL, project
from nap_optax import masks, project_weights


def test_groups_by_hand() -> None:
    # Scale (3, 0) and bias (0, 4) have norm 5 together. After the update they are
    # (6, 0) and (0, 8), of norm 10 together: both are halved. The kernel has its own.
    params = {"scale": KERNEL[0], "bias": KERNEL[1], "kernel": KERNEL}
    labels = {"scale": "norm", "bias": "norm", "kernel": None}
    updates = project(params, params, groups=labels)
    for update in updates.values():
        np.testing.assert_allclose(update, 0, atol=1e-6)
    # The scale alone doubles to (6, 0): norm sqrt(36 + 16) together, so times
    # 5 / sqrt(52) for both, and nothing for the kernel.
    moved = params | {"bias": jnp.zeros(2), "kernel": jnp.zeros((2, 2))}
    updates = project(params, moved, groups=labels)
    factor = 5 / np.sqrt(52)
    np.testing.assert_allclose(updates["scale"], [6 * factor - 3, 0], rtol=1e-5)
    np.testing.assert_allclose(updates["bias"], [0, 4 * factor - 4], rtol=1e-5)
    np.testing.assert_allclose(updates["kernel"], 0, atol=1e-6)


def test_groups_restore_every_second_update() -> None:
    params = {"a": 2 * KERNEL[0], "b": 2 * KERNEL[1]}  # norm 10
    tx = project_weights(5.0, groups="all", every=2)
    state = tx.init(params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, state = tx.update(zeros, state, params)  # restored to norm 5
    assert_halved = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(lambda u, w: assert_halved(u, -w / 2), updates, params)
    updates, _ = tx.update(zeros, state, params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))


def test_granularity_does_not_apply_to_members_of_a_group() -> None:
    params = {"norm": {"scale": KERNEL[0], "bias": KERNEL[1]}, "kernel": KERNEL}
    tx = project_weights(granularity="unit", groups=masks.siblings("norm/.*"))
    targets = tx.init(params).target_norm
    np.testing.assert_allclose(targets["kernel"], [[3, 4]], rtol=1e-6)
    assert targets["norm"]["scale"] == targets["norm"]["bias"] == 5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"groups": {"scale": "g", "kernel": None}, "mask": masks.matrices},
            "mask leaves out 'scale', a member of the group 'g'",
        ),
        ({"groups": {"scale": 1.5, "kernel": None}}, "groups=1.5: every leaf must"),
        ({"groups": {"scale": True, "kernel": None}}, "groups=True: every leaf must"),
        ({"groups": {"scale": "g"}}, "groups does not fit the parameters"),
        (
            {"groups": "g", "radius": {"scale": 1.0, "kernel": 2.0}},
            "radius=1.0 for 'scale'.* another has 2.0",
        ),
        ({"groups": masks.siblings("nothing")}, "'nothing' of siblings matches none"),
    ],
)
def test_wrong_groups(kwargs: Any, message: str) -> None:
    params = {"scale": KERNEL[0], "kernel": KERNEL}
    with pytest.raises(ValueError, match=message):
        project_weights(**kwargs).init(params)


def test_groups_of_integers_are_refused() -> None:
    with pytest.raises(ValueError, match="groups: 'count' is not of a floating-point"):
        project_weights(groups="g").init({"count": jnp.ones(2, jnp.int32)})


def test_a_member_of_a_group_without_an_update_is_refused() -> None:
    params = {"scale": KERNEL[0], "kernel": KERNEL}
    with pytest.raises(ValueError, match="groups='g': a member has None"):
        project(params, {"scale": None, "kernel": KERNEL}, groups="g")
