"""`leaf_by_leaf`: the inner transformation, computed a few leaves at a time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers.contract_cases import relaxed_adam, standard_promotion
from nap_optax import leaf_by_leaf, masks, schedules

pytestmark = pytest.mark.slow

SCHEDULE = schedules.warmup_constant(0.1, warmup_steps=2)


def tree(seed: int) -> Any:
    draw = np.random.default_rng(seed).normal
    return {
        "block": {
            "kernel": jnp.asarray(draw(size=(3, 4)), jnp.float32),
            "scale": jnp.asarray(draw(size=4), jnp.float32),
        },
        "frozen": None,
        "head": [jnp.asarray(draw(size=(4, 2)), jnp.float32)],
    }


def trained(tx: Any) -> Any:
    @jax.jit
    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    params = tree(0)
    with standard_promotion():
        state = tx.init(params)
        for seed in (1, 2, 3):
            params, state = step(tree(seed), state, params)
    return params, state


LEAFWISE = {
    "nap": nap_optax.nap(relaxed_adam(), SCHEDULE),
    "nap, every": nap_optax.nap(relaxed_adam(), SCHEDULE, every=2),
    "nap, units, scales, alarms, restarts": nap_optax.nap(
        relaxed_adam(),
        SCHEDULE,
        detector=nap_optax.every(2),
        granularity="unit",
        scale_decay=0.1,
        reset_inner=True,
    ),
    "hyperball": nap_optax.hyperball(relaxed_adam(), SCHEDULE, radius=2.0),
    "masks by path, strict": optax.chain(
        nap_optax.scale_by_layer(masks.by_path([("block/.*", 2.0), ("head/.*", 1.0)])),
        nap_optax.project_weights(
            masks.by_path([("block/.*", 2.0), ("head/.*", 1.0)]),
        ),
    ),
    "one member in a group": nap_optax.project_weights(
        groups={"block": {"kernel": None, "scale": "g"}, "frozen": None, "head": [None]}
    ),
    "adamw": optax.adamw(0.1),
    "adafactor": optax.adafactor(0.1, min_dim_size_to_factor=2),
    "muon": optax.contrib.muon(0.1),
    "lamb": optax.lamb(0.1),
    "masked": optax.masked(optax.adam(0.1), {"block": True, "frozen": 1, "head": 0}),
    "partition": optax.partition(
        {"a": nap_optax.nap(relaxed_adam(), 0.1), "b": optax.sgd(0.1)},
        {"block": "a", "frozen": "a", "head": "b"},
    ),
    "inject_hyperparams": optax.inject_hyperparams(optax.adam)(SCHEDULE),
    "MultiSteps": optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(),
    "l2_init": nap_optax.l2_init(0.1),
}


@pytest.mark.parametrize(
    "leaves_at_once", [1, pytest.param(2, marks=pytest.mark.thorough), 9]
)
@pytest.mark.parametrize("name", LEAFWISE)
def test_it_is_what_is_inside(name: str, leaves_at_once: int) -> None:
    """Updates, state and the state's structure; counts advance once."""
    want = trained(LEAFWISE[name])
    got = trained(leaf_by_leaf(LEAFWISE[name], leaves_at_once))
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def total(updates: Any) -> Any:
    return sum(map(jnp.sum, jax.tree.leaves(updates)))


def by_position(updates: Any, _: Any) -> Any:
    """Of no other leaf, but of how many come before."""
    leaves = enumerate(jax.tree.leaves(updates))
    return jax.tree.unflatten(
        jax.tree.structure(updates), [(1.0 + i) * jnp.asarray(u) for i, u in leaves]
    )


def keep_a_total(updates: Any, _: Any, params: Any = None) -> Any:
    return updates, total(updates)


def keep_a_list(updates: Any, state: Any, params: Any = None) -> Any:
    return updates, state


def in_a_loop(updates: Any, params: Any = None) -> Any:
    """Counts the leaves in a constant of a program within a program."""
    scale = np.full((1,), 1 / len(jax.tree.leaves(updates)), np.float32)
    scaled = jax.jit(lambda u: u * scale.reshape((1,) * u.ndim).astype(u.dtype))

    def body(_: Any, u: Any) -> Any:
        return scaled(u)

    return jax.tree.map(lambda u: jax.lax.fori_loop(0, 1, body, u), updates)


def by_callback(updates: Any, params: Any = None) -> Any:
    num = len(jax.tree.leaves(updates))
    return jax.tree.map(
        lambda u: jax.pure_callback(lambda x: np.asarray(x) * num, u, u), updates
    )


REFUSED = {
    "a constant in a loop": optax.stateless(in_a_loop),
    "a callback": optax.stateless(by_callback),
    "groups": nap_optax.project_weights(
        groups=lambda tree: jax.tree.map(lambda _: "all", tree)
    ),
    "global norm": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "even_ratio": nap_optax.even_ratio(),
    "noise by leaf": optax.add_noise(0.1, 0.5, 0),
    "apply_if_finite": optax.apply_if_finite(optax.sgd(0.1), 3),
    "a state of all leaves": optax.scale_by_lbfgs(),
    "position": optax.stateless(by_position),
    "a norm in a shared state": optax.GradientTransformation(
        lambda _: jnp.float32(0), keep_a_total
    ),
    "a state that is a list": optax.GradientTransformation(
        jax.tree.leaves, keep_a_list
    ),
    "a state of another structure inside": optax.sm3(0.1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_leafwise_is_refused_by_init(name: str) -> None:
    tx = leaf_by_leaf(REFUSED[name])
    with standard_promotion(), pytest.raises(ValueError, match=r"^leaf_by_leaf: "):
        tx.init(tree(0))


def test_the_refusal_names_the_leaf() -> None:
    with pytest.raises(ValueError, match="update of 'block/kernel' alone"):
        leaf_by_leaf(REFUSED["groups"]).init(tree(0))


def test_a_group_within_one_part_is_none_between_parts() -> None:
    tx = REFUSED["groups"]
    got, want = trained(leaf_by_leaf(tx, 3)), trained(tx)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_siblings_may_be_in_one_part_only() -> None:
    tx = nap_optax.project_weights(groups=nap_optax.masks.siblings("block/.*"))
    got, want = trained(leaf_by_leaf(tx, 2)), trained(tx)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_init_under_eval_shape_refuses_too() -> None:
    with pytest.raises(ValueError, match="leaf_by_leaf"):
        jax.eval_shape(leaf_by_leaf(REFUSED["groups"]).init, tree(0))


def test_what_needs_other_arguments_is_checked_by_update() -> None:
    def scaled(updates: Any, state: Any, params: Any = None, *, factor: Any) -> Any:
        return jax.tree.map(lambda u: factor * u, updates), state

    def meddling(updates: Any, state: Any, params: Any = None, *, factor: Any) -> Any:
        norm = total(updates)
        return jax.tree.map(lambda u: factor * norm * u, updates), state

    good, bad = (
        leaf_by_leaf(
            optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
        )
        for update in (scaled, meddling)
    )
    params, factor = tree(0), jnp.float32(2)
    updates, _ = good.update(params, good.init(params), params, factor=factor)
    jax.tree.map(lambda u, p: np.testing.assert_array_equal(u, 2 * p), updates, params)
    state = bad.init(params)
    with pytest.raises(ValueError, match="leaf_by_leaf: the update of 'block/kernel'"):
        bad.update(params, state, params, factor=factor)
    with pytest.raises(TypeError, match="factor"):
        good.update(params, good.init(params), params)


@pytest.mark.parametrize("number", [0, 1.0, True, jnp.int32(2)])
def test_leaves_at_once_is_a_count(number: Any) -> None:
    with pytest.raises(ValueError, match="leaves_at_once="):
        leaf_by_leaf(optax.sgd(0.1), number)


of_this_scheduler = pytest.mark.skipif(
    jax.default_backend() != "cpu" or jax.__version_info__ < (0, 10),
    reason="jax 0.6.0 holds two leaves, and wide copies of all narrow ones",
)


def temporary_leaves(tx: Any, dtype: Any) -> float:
    params = {f"layer_{i}": jnp.ones((256, 256), dtype) for i in range(8)}

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    with standard_promotion():
        state = tx.init(params)
        jitted = jax.jit(step, donate_argnums=(0, 1))
        compiled = jitted.lower(params, state, params).compile()
    memory: Any = compiled.memory_analysis()
    return memory.temp_size_in_bytes / (4 * 256 * 256)


@of_this_scheduler
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("recipe", [nap_optax.nap, nap_optax.hyperball])
def test_one_leaf_is_held_in_place_of_all(recipe: Any, dtype: Any) -> None:
    tx = recipe(relaxed_adam(), 0.1)
    assert temporary_leaves(tx, dtype) > 7
    assert temporary_leaves(leaf_by_leaf(tx), dtype) < 1.1
    assert temporary_leaves(leaf_by_leaf(tx, 2), dtype) < 2.2


@of_this_scheduler
def test_a_projection_now_and_then_holds_no_copies() -> None:
    tx = nap_optax.nap(relaxed_adam(), 0.1, every=16)
    assert temporary_leaves(tx, jnp.bfloat16) < 0.6
