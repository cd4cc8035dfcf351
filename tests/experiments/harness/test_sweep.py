import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import backend, sweep


def member(key, scale, table):
    """A function with keys, a loop and a matrix product."""
    x = jax.random.normal(key, (5,))
    x, _ = jax.lax.scan(lambda c, _: (jnp.tanh(table @ c * scale), None), x, length=3)
    return {"x": x, "key": jax.random.fold_in(key, 1), "scale": scale}


def arguments(num):
    table = jax.random.normal(jax.random.key(9), (5, 5))
    keys = jax.vmap(jax.random.key)(jnp.arange(num))
    return keys, jnp.linspace(0.5, 1.5, num), table


def by_plain_loop(num):
    keys, scales, table = arguments(num)
    one = jax.jit(member)
    return sweep.stack([one(keys[i], scales[i], table) for i in range(num)])


@pytest.mark.slow
@pytest.mark.parametrize("jit", [True, False])
def test_members_on_one_cpu_equal_a_plain_loop_to_the_bit(jit, assert_same_bits):
    batched = sweep.over_members(member, in_axes=(0, 0, None))
    batched = jax.jit(batched) if jit else batched
    assert_same_bits(batched(*arguments(3)), by_plain_loop(3))


def test_members_are_vectorised_on_an_accelerator(monkeypatch):
    monkeypatch.setattr(backend, "members_at_once", lambda **_: True)
    batched = sweep.over_members(member, in_axes=(0, 0, None))
    # One scan over the steps of all members; the other way has a loop around it.
    assert str(jax.make_jaxpr(batched)(*arguments(3))).count("scan[") == 1
    result, expected = batched(*arguments(3)), by_plain_loop(3)
    np.testing.assert_allclose(result["x"], expected["x"], rtol=1e-5)
    monkeypatch.undo()
    batched = sweep.over_members(member, in_axes=(0, 0, None))
    assert str(jax.make_jaxpr(batched)(*arguments(3))).count("scan[") == 2


def test_members_that_convolve_take_turns_on_a_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    batched = sweep.over_members(member, in_axes=(0, 0, None), has_convolutions=True)
    # A scan over the members around one over the steps.
    assert str(jax.make_jaxpr(batched)(*arguments(3))).count("scan[") == 2


def test_members_that_convolve_have_no_loop_on_a_cpu(assert_same_bits):
    batched = sweep.over_members(member, in_axes=(0, 0, None), has_convolutions=True)
    calls = str(jax.make_jaxpr(batched)(*arguments(3)))
    assert calls.count("scan[") == 3
    result, expected = batched(*arguments(3)), by_plain_loop(3)
    np.testing.assert_allclose(result["x"], expected["x"], rtol=1e-6)


ON_EIGHT_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from experiments.harness import loop, sweep
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.saved_steps import Covered
import sys, pathlib
sys.path.insert(0, sys.argv[1])
import test_sweep

assert jax.device_count() == 8
one = jax.jit(lambda *args: test_sweep.member(*args))
for num in (3, 8, 9):
    batched = jax.jit(sweep.over_members(test_sweep.member, in_axes=(0, 0, None)))
    result = batched(*test_sweep.arguments(num))
    expected = test_sweep.by_plain_loop(num)
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for name in ("x", "scale"):
        np.testing.assert_array_equal(result[name], expected[name])
    assert (jax.random.key_data(result["key"]) ==
            jax.random.key_data(expected["key"])).all()
    spread = len(result["x"].sharding.device_set)
    assert spread == 8, (num, spread)
    if num % 8 == 0:
        assert result["x"].addressable_shards[0].data.shape[0] == num // 8

for num, in_axes, on_each in ((8, 0, 1), (16, 0, 2), (3, 0, 3), (8, None, 8)):
    placed = sweep.place(jnp.ones((num, 2)), in_axes=in_axes)
    assert [s.data.shape for s in placed.addressable_shards] == [(on_each, 2)] * 8

# A sweep's chunk, and a checkpoint of it: values and shardings come back.
chunk_fn = loop.compile_chunk(
    lambda s, t: {"x": jnp.tanh(t @ s["x"]), "key": jax.random.fold_in(s["key"], 0)},
    lambda s, t: (s, {"sum": jnp.sum(s["x"])}),
    in_axes=(0, None),
)
for num in (3, 8):
    keys, _, table = test_sweep.arguments(num)
    state = {"x": jnp.ones((num, 5)), "key": keys}
    state, metrics = chunk_fn(state, table, num_steps=4)
    assert metrics["sum"].shape == (num,)
    checkpoints = Checkpoints(pathlib.Path(sys.argv[2]) / str(num))
    checkpoints.save(4, state, Covered(0, None))
    restored = checkpoints.restore(state).state
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(restored)):
        assert a.sharding == b.sharding, (num, a.sharding, b.sharding)
    chunk_fn(restored, table, num_steps=4)
    # The same checkpoint on one device, and a state of one device on all.
    alone = jax.device_put(state, jax.devices()[0])
    restored = checkpoints.restore(alone).state
    again, _ = chunk_fn(restored, table, num_steps=4)
    more, _ = chunk_fn(state, table, num_steps=4)
    np.testing.assert_array_equal(again["x"], more["x"])
"""


@pytest.mark.slow
def test_eight_devices_give_the_results_of_one(tmp_path, start_python, request):
    script = tmp_path / "script.py"
    script.write_text(ON_EIGHT_DEVICES)
    process = start_python(
        "-W",
        "error::UserWarning",
        script,
        request.path.parent,
        tmp_path,
        XLA_FLAGS="--xla_force_host_platform_device_count=8",
    )
    _, err = process.communicate()
    assert process.returncode == 0, err


def test_stack_and_unstack_are_inverse(assert_same_bits):
    members = [
        {"a": jnp.float32(i), "b": None, "key": jax.random.key(i)} for i in range(3)
    ]
    stacked = sweep.stack(members)
    assert stacked["a"].shape == (3,)
    assert_same_bits(sweep.unstack(stacked), members)


def test_fork_copies_a_state(assert_same_bits):
    state = {"a": jnp.arange(3), "b": None, "key": jax.random.key(1)}
    forked = sweep.fork(state, 2)
    assert forked["a"].shape == (2, 3)
    assert_same_bits(sweep.unstack(forked), [state, state])


def test_members_must_agree_on_their_number():
    assert sweep.num_members({"a": np.ones((3, 2)), "b": None}) == 3
    for tree in ({}, {"a": 1.0}, {"a": np.ones(2), "b": np.ones(3)}):
        with pytest.raises(ValueError, match="one common leading axis"):
            sweep.num_members(tree)


@pytest.mark.parametrize("in_axes", [None, (0,), (None, None), (0, 1)])
def test_axes_are_zero_or_none(in_axes):
    with pytest.raises(ValueError, match="must be 0 or None"):
        sweep.over_members(jnp.add, in_axes=in_axes)(jnp.ones(2), jnp.ones(2))


def test_placing_on_one_device_changes_nothing():
    tree = {"a": jnp.ones(2)}
    assert sweep.place(tree) is tree


@pytest.mark.parametrize("has_convolutions", [False, True])
@pytest.mark.parametrize("size", [2, 5, 7, 100])
def test_slices_give_the_results_of_all_examples_in_order(size, has_convolutions):
    x, y = jnp.arange(14.0).reshape(7, 2), jnp.arange(7)
    sizes = []

    def fn(x, y):
        sizes.append(len(y))
        return {"sum": x.sum(axis=1) + y, "both": x}

    args = (x, y)
    run = functools.partial(
        sweep.in_slices, fn, size=size, has_convolutions=has_convolutions
    )
    for result in (run(args), jax.jit(run)(args)):
        np.testing.assert_array_equal(result["sum"], x.sum(axis=1) + y)
        np.testing.assert_array_equal(result["both"], x)
    assert max(sizes) <= size
