"""Projection: the new weights, the leaves left alone, and refused arguments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.projecting import KERNEL, UPDATE, normal, norms, project
from helpers.x64 import enable_x64
from nap_optax import masks, project_weights, schedules

# By hand.


def test_leaf_by_hand() -> None:
    # W + u = [[3, 4], [0, 0]] + [[3, 4], [0, 0]], of norm 10; times 5/10 it is W again.
    # W + u = [[3, 0], [0, 4]] + [[-3, 12], [0, -4]] = [[0, 12], [0, 0]], of norm 12;
    # times 5/12 it is [[0, 5], [0, 0]]: the update is [[-3, 5], [0, -4]].
    stay = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(project(stay, stay), 0, atol=1e-6)
    updates = project(KERNEL, jnp.array([[-3.0, 12.0], [0.0, -4.0]]))
    np.testing.assert_allclose(updates, [[-3, 5], [0, -4]], rtol=1e-6)


def test_unit_by_hand() -> None:
    # Columns of W + u: (3, 3) -> norm 3 sqrt 2, held at 3: (3, 3) / sqrt 2;
    # (0, 8) -> norm 8, held at 4: (0, 4).
    updates = project(KERNEL, jnp.array([[0.0, 0.0], [3.0, 4.0]]), granularity="unit")
    half = 3 / np.sqrt(2)
    np.testing.assert_allclose(updates, [[half - 3, 0], [half, 0]], rtol=1e-6)


def test_rows_by_hand() -> None:
    # Rows of W + u: (3, 4) of norm 5, held at 3: (1.8, 2.4); (0, 4) stays.
    updates = project(KERNEL, jnp.array([[0.0, 4.0], [0.0, 0.0]]), granularity=(-1,))
    np.testing.assert_allclose(updates, [[-1.2, 2.4], [0, 0]], rtol=1e-6)


def test_numeric_radius_by_hand() -> None:
    # 2 W of norm 10, to norm 2.5: W / 2.
    np.testing.assert_allclose(project(KERNEL, UPDATE, 2.5), -KERNEL / 2, rtol=1e-6)


def test_restoring_by_hand() -> None:
    # every=2: update 0 restores 2 W (norm 10) to W (norm 5), then adds u = 2 W: the
    # update is -W + 2 W - ... written out: 2W -> W + 2W = 3W, so the update is W.
    # Update 1 passes. Update 2 restores 5 W to W and adds 2 W: -4 W + 2 W = -2 W.
    tx = project_weights(every=np.int64(2))
    state = tx.init(KERNEL)
    for weights, want in ((2, 1), (3, 2), (5, -2)):
        updates, state = tx.update(2 * KERNEL, state, weights * KERNEL)
        np.testing.assert_allclose(updates, want * KERNEL, rtol=1e-6)


# Properties.

LEAVES = {"matrix": (7, 5), "stack": (3, 4, 6), "row": (1, 9)}
TOLERANCES = {jnp.float32: 2e-7, jnp.bfloat16: 4e-3, jnp.float16: 5e-4}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:project_weights. in '' each norm")  # row, unit
@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", LEAVES.values(), ids=LEAVES)
def test_lands_on_the_target_norm(shape: tuple[int, ...], dtype: Any) -> None:
    tolerance = TOLERANCES[dtype]
    params, updates = (normal(seed, *shape, dtype=dtype) for seed in (0, 1))
    for granularity, axes in (("leaf", None), ("unit", tuple(range(len(shape) - 1)))):
        for radius in ("init", 3.0):
            new = params + project(params, updates, radius, granularity=granularity)
            target = norms(params, axes) if radius == "init" else 3.0
            # 4 units in the last place: a unit's entries do not average out.
            np.testing.assert_allclose(norms(new, axes), target, rtol=4 * tolerance)


def test_is_idempotent() -> None:
    params, updates = normal(0, 7, 5), normal(1, 7, 5)
    once = project(params, updates)
    np.testing.assert_allclose(project(params, once), once, rtol=1e-5, atol=1e-6)


def test_keeps_the_direction() -> None:
    params, updates = normal(0, 7, 5), normal(1, 7, 5)
    ratio = (params + project(params, updates)) / (params + updates)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
    assert ratio[0, 0] > 0


def train(dtype: Any, steps: int = 200, **kwargs: Any) -> tuple[jax.Array, jax.Array]:
    """Projected Adam towards a target far outside the sphere."""
    target = 10 * normal(1, 16, 8)
    # Adam's default eps is zero in float16.
    tx = optax.chain(optax.adam(1e-2, eps=1e-4), project_weights(**kwargs))
    start = normal(0, 16, 8, dtype=dtype)

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        grads = jax.grad(lambda w: jnp.mean((w.astype(jnp.float32) - target) ** 2))(
            params
        )
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        carry = (start, tx.init(start))
        (params, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, length=steps))(carry)
    return start, params


@pytest.mark.parametrize(
    ("dtype", "drift"),
    # 16-bit weights cannot represent the sphere better than this.
    [(jnp.float32, 1e-5), (jnp.bfloat16, 2e-3), (jnp.float16, 2e-4)],
    ids=["float32", "bfloat16", "float16"],
)
def test_norm_does_not_drift(dtype: Any, drift: float) -> None:
    start, params = train(dtype)
    assert np.all(np.isfinite(params))
    assert norms(np.asarray(params, np.float32) - np.asarray(start, np.float32)) > 1
    np.testing.assert_allclose(norms(params), norms(start), rtol=drift)


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_norms_of_eight_bits_are_in_float32(dtype):
    params = jnp.ones((4, 4), dtype)
    tx = project_weights()
    state = tx.init(params)
    assert (state.target_norm, state.target_norm.dtype) == (4, jnp.float32)
    updates, _ = tx.update(params, state, params)  # twice the norm
    assert updates.dtype == dtype
    np.testing.assert_array_equal(updates.astype(jnp.float32), 0)


def test_large_half_precision_norms_do_not_overflow() -> None:
    # The sum of squares, 64 * 300 ** 2, exceeds float16's largest number.
    params = jnp.full((8, 8), 300.0, jnp.float16)
    new = params + project(params, jnp.full((8, 8), 30.0, jnp.float16))
    np.testing.assert_allclose(norms(new), 2400, rtol=1e-3)


# Options.


@pytest.mark.slow
def test_granularity_tree_and_rules() -> None:
    params = {"a": normal(0, 2, 3, 4), "b": normal(1, 3, 4), "c": normal(2, 3, 4)}
    updates = {"a": normal(3, 2, 3, 4), "b": normal(4, 3, 4), "c": normal(5, 3, 4)}
    tree = {"a": (1, 2), "b": "unit", "c": "leaf"}
    rules = masks.by_path([("a", (1, 2)), ("b", "unit"), (".*", "leaf")])
    for granularity in (tree, rules):
        change = project(params, updates, granularity=granularity)
        new = jax.tree.map(jnp.add, params, change)
        for name, axes in (("a", (1, 2)), ("b", 0), ("c", None)):
            np.testing.assert_allclose(
                norms(new[name], axes), norms(params[name], axes), rtol=1e-6
            )


def test_shape_of_the_stored_norms() -> None:
    params = normal(0, 2, 3, 4)
    shapes = {"leaf": (), "unit": (1, 1, 4), (1, 2): (2, 1, 1), (-1,): (2, 3, 1)}
    for granularity, shape in shapes.items():
        state = project_weights(granularity=granularity).init(params)
        assert state.target_norm.shape == shape
        assert state.target_norm.dtype == jnp.float32


def test_tree_of_radii() -> None:
    params = {"a": normal(0, 3, 4), "b": {"c": normal(1, 3, 4), "d": normal(2, 3, 4)}}
    radius = {"a": "init", "b": 2.0}
    new = jax.tree.map(jnp.add, params, project(params, params, radius))
    np.testing.assert_allclose(norms(new["a"]), norms(params["a"]), rtol=1e-6)
    np.testing.assert_allclose([norms(new["b"][k]) for k in "cd"], 2, rtol=1e-6)


@pytest.mark.parametrize("granularity", ["leaf", "unit"])
def test_traced_radius(granularity: str) -> None:
    @jax.jit
    def new(radius: Any) -> Any:
        return KERNEL + project(KERNEL, UPDATE, radius, granularity=granularity)

    axis = None if granularity == "leaf" else 0
    for radius in (0.5, 7.0):
        np.testing.assert_allclose(norms(new(radius), axis), radius, rtol=1e-6)


@pytest.mark.slow
def test_radius_follows_a_schedule() -> None:
    tx = optax.inject_hyperparams(project_weights, static_args=("every",))(
        radius=schedules.warmup_constant(4.0, warmup_steps=2, init_value=2.0)
    )
    state = tx.init(KERNEL)
    for want in (2.0, 3.0, 4.0, 4.0):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = tx.update(UPDATE, state, KERNEL)
        np.testing.assert_allclose(norms(KERNEL + updates), want, rtol=1e-6)


def test_every_equals_a_reference() -> None:
    # By hand: restore at updates 0, 3, 6, then add the update.
    start = normal(0, 4, 3)
    tx = project_weights(every=3)
    state, params, reference = tx.init(start), start, np.asarray(start)
    for step in range(8):
        update = normal(step + 1, 4, 3)
        change, state = tx.update(update, state, params)
        params = params + change
        if step % 3 == 0:
            reference = reference * norms(start) / norms(reference)
        reference = reference + np.asarray(update)
        np.testing.assert_allclose(params, reference, rtol=2e-5, atol=2e-6)
    assert int(optax.tree.get(state, "projection_step")) == 8


def test_mask_forms() -> None:
    params = {"a": KERNEL, "b": {"c": KERNEL, "d": KERNEL}}
    forms = [
        {"a": False, "b": {"c": True, "d": True}},
        {"a": False, "b": True},
        masks.by_path([("a", False), ("b/.*", True)]),
        masks.complement({"a": True, "b": False}),
    ]
    for mask in forms:
        state = project_weights(mask=mask).init(params)
        assert len(jax.tree.leaves(state.target_norm)) == 2
        updates = project(params, params, mask=mask)
        assert updates["a"] is params["a"]
        np.testing.assert_allclose(updates["b"]["c"], 0, atol=1e-6)


def test_masked_leaves_are_bit_identical(params: Any) -> None:
    updates = jax.tree.map(lambda p: 1e-9 * (p + 0.3), params)
    for every in (1, 2):
        change = project(params, updates, every=every)
        for name in ("bias", "scale"):
            assert change["block"][name] is updates["block"][name]


def test_complex_leaf() -> None:
    params = jnp.array([[3.0 + 0j, 4.0j]])
    new = params + project(params, params)
    np.testing.assert_allclose(np.linalg.norm(new), 5, rtol=1e-6)


def test_float64_norms() -> None:
    with enable_x64(True):
        params, updates = (normal(seed, 7, 5, dtype=jnp.float64) for seed in (0, 1))
        new = params + project(params, updates)
        np.testing.assert_allclose(norms(new), norms(params), rtol=1e-14)


def test_state_is_the_norm_at_init_whatever_comes_later() -> None:
    # After a reset that shrinks the weights, the next update returns them.
    tx = project_weights()
    state = tx.init(KERNEL)
    shrunk = 0.1 * KERNEL
    updates, state = tx.update(0.1 * KERNEL, state, shrunk)
    np.testing.assert_allclose(norms(shrunk + updates), 5, rtol=1e-6)
    np.testing.assert_array_equal(state.target_norm, 5)


# Wrong use.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0.0}, 'radius=0.0: must be "init" or a positive number'),
        ({"radius": -1}, 'radius=-1: must be "init" or a positive number'),
        ({"radius": np.nan}, 'radius=nan: must be "init" or a positive number'),
        ({"radius": np.inf}, 'radius=inf: must be "init" or a positive number'),
        ({"radius": "unit"}, "radius='unit': must be \"init\" or a positive number"),
        ({"radius": 1j}, 'radius=1j: must be "init" or a positive number'),
        ({"radius": ...}, 'must be "init" or a positive number'),
        ({"radius": np.ones(2)}, 'must be "init" or a positive number'),
        ({"radius": {"a": 1.0}}, "radius does not fit the parameters"),
        ({"radius": None}, "radius does not fit the parameters"),
        ({"granularity": "row"}, "granularity='row' for 'block/kernel' with 2 dim"),
        ({"granularity": (2,)}, r"granularity=\(2,\) for 'block/kernel' with 2 dim"),
        ({"granularity": ()}, r"granularity=\(\) for 'block/kernel' with 2 dim"),
        ({"granularity": 0}, "granularity=0 for 'block/kernel' with 2 dim"),
        ({"granularity": "unit", "mask": True}, "'unit' for 'block/bias' with 1 dim"),
        ({"granularity": [0]}, "granularity does not fit the parameters"),
        ({"mask": 1}, "mask=1: every leaf must be True or False"),
        ({"mask": "kernel"}, "mask='kernel': every leaf must be True or False"),
        ({"mask": {"block": True}}, "mask does not fit the parameters"),
        ({"every": 0}, "every=0: must be 1 or more"),
        ({"every": 2.0}, "every=2.0: must be a Python int"),
        ({"every": "2"}, "every='2': must be a Python int"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_arguments(params: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project_weights(**arguments).init(params)


def test_under_inject_hyperparams_without_static_args(params: Any) -> None:
    with pytest.raises(ValueError, match=r'static_args=\("every",\)'):
        optax.inject_hyperparams(project_weights)().init(params)
    for mask in (masks.matrices, masks.scales, masks.by_path([(".*", True)])):
        tx = optax.inject_hyperparams(project_weights, static_args=("every",))(
            mask=mask
        )
        with pytest.raises(ValueError, match=r'static_args=\("mask",\)'):
            tx.init(params)


def test_a_mask_that_selects_nothing() -> None:
    with pytest.warns(match="project_weights: the mask selects none of the leaves"):
        project_weights(mask=masks.by_path([(".*", False)])).init({"w": KERNEL})
    # As a function becomes under inject_hyperparams, which calls it with its count.
    tx = optax.inject_hyperparams(project_weights, static_args=("every",))(
        mask=lambda tree: jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, tree)
    )
    with pytest.raises(ValueError, match=r'mask=False.* in static_args=\("mask",\)'):
        tx.init({"w": KERNEL})
