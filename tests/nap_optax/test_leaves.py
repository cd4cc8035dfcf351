"""Names of leaves, options for each, and leaves that are no numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers.contract_cases import CASES, relaxed_adam
from nap_optax import masks

W, B = jnp.ones((2, 3)), jnp.ones(3)


class Pair(NamedTuple):
    """An actor and a critic; the second is called as a box of NNX calls its content."""

    policy: Any
    value: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Dataclass:
    policy: Any
    value: Any


def equinox_pair(policy: Any, value: Any) -> Any:
    eqx = pytest.importorskip("equinox")

    class ActorCritic(eqx.Module):
        policy: Any
        value: Any

    return ActorCritic(policy, value)


def struct_pair(policy: Any, value: Any) -> Any:
    struct = pytest.importorskip("flax.struct")

    class ActorCritic(struct.PyTreeNode):
        policy: Any
        value: Any

    return ActorCritic(policy, value)


# Names.


@pytest.mark.parametrize("pair", [Pair, Dataclass, equinox_pair, struct_pair])
def test_a_parameter_called_value_keeps_its_name(pair: Callable[..., Any]) -> None:
    tree = {"head": pair(W, W), "body": W}
    assert masks.paths(tree) == ["body", "head/policy", "head/value"]
    mask = masks.by_path([("head/.*", True), (".*", False)])
    assert jax.tree.leaves(mask(tree)) == [False, True, True]


def test_boxes_have_no_name_of_their_own() -> None:
    nnx, linen = pytest.importorskip("flax.nnx"), pytest.importorskip("flax.linen")
    tree = {"value": nnx.Param(W), "b": linen.Partitioned(B, names=("model",))}
    assert masks.paths(tree) == ["b", "value"]
    # A box that a mask has emptied is no leaf.
    assert masks.paths({"a": nnx.Param(optax.MaskedNode()), "b": W}) == ["b"]


# A module of values may be callable, and is a tree all the same.


@pytest.fixture(scope="module")
def module() -> Any:
    eqx = pytest.importorskip("equinox")

    class Module(eqx.Module):
        policy: Any
        value: Any

        def __call__(self, x: Any) -> Any:
            return x @ self.policy @ self.value

    return Module


OPTIONS = {
    "mask": lambda option: nap_optax.project_weights(mask=option(True, False)),
    "radius": lambda option: nap_optax.project_weights(option(2.0, "init")),
    "granularity": lambda option: nap_optax.project_weights(
        granularity=option("unit", (-1,))
    ),
    "groups": lambda option: nap_optax.project_weights(groups=option("one", "one")),
    "layer_axes": lambda option: nap_optax.project_weights(layer_axes=option((), ())),
    "factors": lambda option: nap_optax.scale_by_layer(option(2.0, 3.0)),
    "output_layer": lambda option: nap_optax.fast_features(option(False, True)),
    "decay mask": lambda option: nap_optax.decay_scales(0.1, mask=option(True, False)),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_may_be_a_callable_tree(name: str, module: Any) -> None:
    params, grads = module(2 * W, 3 * W), module(W, W)
    got = OPTIONS[name](module)
    want = OPTIONS[name](lambda policy, value: lambda _: Pair(policy, value))
    plain = Pair(*jax.tree.leaves(params))
    updates, _ = got.update(grads, got.init(params), params)
    expected, _ = want.update(Pair(W, W), want.init(plain), plain)
    for one, other in zip(*map(jax.tree.leaves, (updates, expected)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_partial_function_is_a_function() -> None:
    mask = jax.tree_util.Partial(lambda tree: jax.tree.map(lambda _: True, tree))
    state = nap_optax.project_weights(mask=mask).init({"w": W})
    assert state.target_norm["w"].shape == ()


def test_a_callable_tree_that_does_not_fit_is_not_called(module: Any) -> None:
    tx = nap_optax.project_weights(mask=module(True, (True, False)))
    with pytest.raises(ValueError, match="mask does not fit the parameters"):
        tx.init(module(W, W))


def test_a_box_may_hold_a_tree() -> None:
    nnx = pytest.importorskip("flax.nnx")
    inside = {"scale": B, "kernel": W}
    params = {"a": nnx.Param(inside)}
    assert masks.paths(params) == ["a/kernel", "a/scale"]
    for case in CASES:
        if case.name in ("project_weights-leaf", "hold_elr", "l2_init", "measure_elr"):
            tx = case.build()
            got, _ = tx.update(params, tx.init(params), params)
            plain = {"a": inside}
            want, _ = tx.update(plain, tx.init(plain), plain)
            jax.tree.map(
                np.testing.assert_array_equal,
                jax.tree.leaves(got),
                jax.tree.leaves(want),
            )


# Whole modules: functions, integers and keys among the parameters.


def whole_module() -> Any:
    return {
        "block": {"kernel": 2 * jnp.eye(3), "bias": B, "scale": B},
        "head": {"kernel": jnp.eye(3)},
        "activation": jax.nn.relu,
        "key": jax.random.key(0),
        "count": jnp.arange(4).reshape(2, 2),
        "steps": 3,
    }


def only_numbers(tree: Any) -> Any:
    return {name: tree[name] for name in ("block", "head")}


WITHOUT_INNER = [case for case in CASES if "inner" not in case.arguments]


@pytest.mark.parametrize("case", WITHOUT_INNER, ids=lambda case: case.name)
def test_what_is_no_number_passes_through(case: Any) -> None:
    if "groups" in case.name:
        pytest.skip("all leaves in a group: what is no number is refused there")
    tx = case.build()
    module = whole_module()
    updates = jax.tree.map(lambda leaf: leaf, module)
    got, state = tx.update(updates, tx.init(module), module, **case.update_kwargs)
    for name in ("activation", "key", "count", "steps"):
        assert got[name] is updates[name]
    numbers = only_numbers(module)
    want, _ = tx.update(numbers, tx.init(numbers), numbers, **case.update_kwargs)
    jax.tree.map(np.testing.assert_array_equal, only_numbers(got), want)
    tx.update(updates, state, module, **case.update_kwargs)


def test_what_is_no_number_passes_through_a_mask_that_selects_it() -> None:
    tx = nap_optax.decay_scales(0.5, mask=masks.complement(masks.matrices))
    module = whole_module()
    got, _ = tx.update(module, tx.init(module), module)
    for name in ("activation", "key", "count", "steps"):
        assert got[name] is module[name]
    np.testing.assert_array_equal(got["block"]["bias"], 1.5 * B)


def test_a_rate_of_what_is_no_number_is_zero() -> None:
    module = whole_module()
    rates = nap_optax.effective_learning_rate(module, module)
    nominal = nap_optax.nominal_effective_learning_rate(0.1, module)
    for name in ("activation", "key", "count", "steps"):
        assert rates[name] == nominal[name] == 0
    assert rates["head"]["kernel"] == 1


@pytest.mark.parametrize("factory", ["restart", "nap", "hyperball"])
def test_wrappers_take_what_their_inner_transformation_takes(factory: str) -> None:
    """Adam keeps moments of integers and none of a function or a key."""
    module = {"kernel": jnp.eye(3), "count": jnp.arange(3)}
    if factory == "restart":
        tx = nap_optax.restart(relaxed_adam())
    elif factory == "nap":
        tx = nap_optax.nap(relaxed_adam(), 0.1, reset_inner=True)
    else:
        tx = nap_optax.hyperball(relaxed_adam(), 0.1)
    grads = module | {"count": np.zeros(3, jax.dtypes.float0)}
    with jax.numpy_dtype_promotion("standard"):
        masked = {"kernel": True, "count": False}
        tx = optax.with_extra_args_support(optax.masked(tx, masked))
        updates, _ = tx.update(grads, tx.init(module), module, rewarm=True)
    assert updates["count"] is grads["count"]


# Hyperparameters.


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_hyperparameter_is_an_integer(case: Any) -> None:
    """An integer default would cut off what is written into the state."""
    arguments = {
        name: value
        for name, value in case.arguments.items()
        if name in case.static_args or not isinstance(value, int)
    }
    injected = optax.inject_hyperparams(case.factory, static_args=case.static_args)
    state = injected(**arguments).init(only_numbers(whole_module()))
    for name, number in state.hyperparams.items():
        assert jnp.issubdtype(number.dtype, jnp.floating), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_init_takes_shapes(case: Any) -> None:
    """As to restore a checkpoint; `jax.eval_shape` of `init` gives the same."""
    shapes = jax.eval_shape(lambda: only_numbers(whole_module()))
    state = case.build().init(shapes)
    want = jax.eval_shape(case.build().init, shapes)
    assert jax.tree.structure(state) == jax.tree.structure(want)
    for one, other in zip(*map(jax.tree.leaves, (state, want)), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
