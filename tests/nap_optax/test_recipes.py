"""Algorithm 1 in one call."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from nap_optax import masks, nap, schedules

STATIC = (
    "inner",
    "detector",
    "mask",
    "every",
    "radius",
    "granularity",
    "reset_inner",
)


def loss(params: Any) -> Any:
    """Least where the projected kernel points at (1, 1, ...)."""
    return -sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params))


def train(tx: Any, params: Any, num_updates: int, rewarm_at: int = -1) -> Any:
    state = tx.init(params)
    with jax.numpy_dtype_promotion("standard"):
        update = jax.jit(tx.update)
        for step in range(num_updates):
            value, grads = jax.value_and_grad(loss)(params)
            updates, state = update(
                grads, state, params, value=value, rewarm=step == rewarm_at
            )
            params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:project_weights. in 'head/kernel' each norm")
@pytest.mark.parametrize("reset_inner", [False, True])
def test_equals_the_chain_by_hand(params: Any, reset_inner: bool) -> None:
    schedule = schedules.cyclic(0.1, cycle_steps=10, warmup_steps=1, end_value=0.01)
    mask = masks.by_path([(".*kernel", True), (".*", False)])
    detector, adam = nap_optax.every(5), optax.scale_by_adam()
    recipe = nap(
        optax.scale_by_adam(),
        schedule,
        detector=detector,
        mask=mask,
        every=2,
        radius=3.0,
        granularity="unit",
        scale_decay=0.3,
        reset_inner=reset_inner,
    )
    chain = optax.chain(
        nap_optax.restart(adam, detector) if reset_inner else adam,
        nap_optax.decay_scales(0.3),
        nap_optax.scale_by_rewarming(schedule, detector),
        nap_optax.project_weights(3.0, granularity="unit", mask=mask, every=2),
    )
    for tx in (recipe, chain):
        assert isinstance(tx, optax.GradientTransformationExtraArgs)
    jax.tree.map(
        np.testing.assert_array_equal,
        train(recipe, params, 12, rewarm_at=7),
        train(chain, params, 12, rewarm_at=7),
    )


@pytest.mark.slow
def test_descends_on_the_sphere(params: Any) -> None:
    end, state = train(nap(optax.scale_by_adam(), 0.05), params, 300)
    for part, norm in (("block", 5.0), ("head", 2.0)):
        kernel = end[part]["kernel"]
        np.testing.assert_allclose(jnp.linalg.norm(kernel), norm, rtol=1e-6)
        # All entries alike: the direction that the loss asks for.
        np.testing.assert_allclose(kernel, norm / np.sqrt(kernel.size), rtol=0.05)
    np.testing.assert_allclose(optax.tree.get(state, "last_learning_rate"), 0.05)


def test_gradient_descent_by_hand() -> None:
    # W = (3, 4), g = (-1, -1), rate 1: W - g = (4, 5) of norm sqrt 41; held at 5.
    params = {"w": jnp.array([[3.0, 4.0]])}
    end, _ = train(nap(optax.identity(), 1.0), params, 1)
    np.testing.assert_allclose(
        end["w"], np.array([[4, 5]]) * 5 / np.sqrt(41), rtol=1e-6
    )


def test_an_alias_for_inner_ascends(params: Any) -> None:
    # The documented trap: optax.adam is negated already.
    down, _ = train(nap(optax.scale_by_adam(), 0.05), params, 20)
    with pytest.warns(UserWarning, match=r"nap: inner negates gradients already"):
        up, _ = train(nap(optax.adam(1.0), 0.05), params, 20)
    assert loss(down) < loss(params) < loss(up)


def test_a_signal_restarts_rate_and_moments_together(params: Any) -> None:
    schedule = schedules.warmup_constant(0.1, warmup_steps=4)
    tx = nap(optax.scale_by_adam(), schedule, reset_inner=True)
    _, state = train(tx, params, 10, rewarm_at=7)
    # Updates 7, 8 and 9 have counts 0, 1 and 2: rate 0.1 * 2 / 4.
    np.testing.assert_allclose(optax.tree.get(state, "last_learning_rate"), 0.05)
    for name, want in (
        ("num_rewarms", 1),
        ("num_restarts", 1),
        ("last_rewarm_step", 7),
        ("steps_since_rewarm", 3),
        ("projection_step", 10),
        ("rewarming_step", 10),
        ("restart_step", 10),
        ("count", 3),
    ):
        assert int(optax.tree.get(state, name)) == want, name


def test_the_moments_stay_by_default(params: Any) -> None:
    tx = nap(optax.scale_by_adam(), schedules.warmup_constant(0.1, warmup_steps=4))
    _, state = train(tx, params, 10, rewarm_at=7)
    assert int(optax.tree.get(state, "count")) == 10


def test_apply_if_finite_keeps_bad_gradients_out(params: Any) -> None:
    tx = optax.apply_if_finite(nap(optax.scale_by_adam(), 0.1), 5)
    state = tx.init(params)
    bad = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
    with jax.numpy_dtype_promotion("standard"):
        updates, after = tx.update(bad, state, params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))
    jax.tree.map(np.testing.assert_array_equal, after.inner_state, state.inner_state)


def test_a_constant_cannot_be_rewarmed(params: Any) -> None:
    message = r"learning_rate=0\.1: re-warming a constant changes nothing"
    with pytest.raises(ValueError, match=message):
        nap(optax.scale_by_adam(), 0.1, detector=nap_optax.every(3))
    # inject_hyperparams turns a schedule into its value.
    injected = optax.inject_hyperparams(nap, static_args=STATIC)
    tx = injected(
        optax.identity(),
        schedules.warmup_constant(0.1, warmup_steps=4),
        detector=nap_optax.every(3),
    )
    with pytest.raises(ValueError, match='"learning_rate" in static_args'):
        tx.init(params)


def test_inject_hyperparams_without_static_args(params: Any) -> None:
    with pytest.raises(ValueError, match=r'static_args=\("every",\)'):
        optax.inject_hyperparams(nap, static_args=("inner",))(
            optax.identity(), 0.1
        ).init(params)


def test_what_is_no_transformation_or_rate() -> None:
    for make in (nap, nap_optax.hyperball):
        with pytest.raises(ValueError, match=r"inner=.*: must be an optax.Gradient"):
            make(optax.scale_by_adam, 0.1)  # type: ignore[arg-type]
        for rate in (None, "1e-3", -0.1, float("nan")):
            with pytest.raises(ValueError, match=r"learning_rate=.*: must be a number"):
                make(optax.scale_by_adam(), rate)
    with pytest.raises(ValueError, match=r"inner=Detector.*: must be an optax"):
        nap_optax.restart(nap_optax.cusum())  # type: ignore[arg-type]


def test_a_rate_is_changed_in_a_running_state() -> None:
    """As a hyperparameter; the rate that was last used is a record."""
    tx = optax.inject_hyperparams(nap_optax.nap, static_args=STATIC)(
        inner=optax.identity(), learning_rate=0.1
    )
    params = {"w": jnp.eye(2)}
    state = tx.init(params)
    state = optax.tree.set(state, learning_rate=jnp.float32(0.01))
    _, state = tx.update(params, state, params)
    np.testing.assert_allclose(optax.tree.get(state, "last_learning_rate"), 0.01)
    alone = nap_optax.nap(optax.identity(), 0.1).init(params)
    with pytest.raises(KeyError):  # there is nothing that looks settable
        optax.tree.set(alone, learning_rate=0.01)
