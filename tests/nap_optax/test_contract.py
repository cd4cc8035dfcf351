"""The promises of every public transformation, whatever it computes.

One row of the contract for each `Case`, one column for each `test_*` function that
takes `case`; `pytest -v` prints the table. A check that cannot apply to a case is
skipped by the case itself, with the reason.
"""

from __future__ import annotations

import functools
import inspect
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.contract_cases import (
    CASES,
    Case,
    Tx,
    public_transformations,
    standard_promotion,
)
from helpers.contract_matrix import PROMISES, contract_table
from helpers.selection import selected
from helpers.x64 import enable_x64

# XLA of jax 0.7.0 and before does not, on the CPU.
COMBINES_ALL_REDUCES = jax.__version_info__ >= (0, 8, 1)


def cases() -> list[Any]:
    """All of them; those that are not the first of a transformation are thorough."""
    first = {case.factory: case for case in reversed(CASES)}.values()
    return [
        pytest.param(
            case, id=case.name, marks=() if case in first else pytest.mark.thorough
        )
        for case in CASES
    ]


@pytest.fixture(params=cases())
def case(request: pytest.FixtureRequest) -> Case:
    check = request.node.originalname.removeprefix("test_")
    if check in request.param.skips:
        pytest.skip(request.param.skips[check])
    return request.param


def make_tree(seed: int, dtype: Any = jnp.float32, width: int = 4) -> dict[str, Any]:
    draw = np.random.default_rng(seed).normal
    return {
        "block": {
            "bias": jnp.asarray(draw(size=width), dtype),
            "kernel": jnp.asarray(draw(size=(width, width)), dtype),
            "scale": jnp.asarray(1 + 0.1 * draw(size=width), dtype),
        },
        "head": {"kernel": jnp.asarray(draw(size=(width, width)), dtype)},
    }


PARAMS = make_tree(0)
GRADS = [make_tree(seed) for seed in (1, 2, 3)]


class Run(NamedTuple):
    """A short training: what came of it, and how often `update` was traced."""

    params: Any
    updates: list[Any]
    state: Any
    num_traces: int


def run(
    tx: Tx,
    params: Any = PARAMS,
    grads: Any = GRADS,
    kwargs: Mapping[str, Any] | None = None,
) -> Run:
    """Trains for one step per gradient, compiled."""
    num_traces = 0

    @jax.jit
    def update(grad: Any, state: Any, params: Any) -> Any:
        nonlocal num_traces
        num_traces += 1
        return tx.update(grad, state, params, **(kwargs or {}))

    state, updates = tx.init(params), []
    for grad in grads:
        change, state = update(grad, state, params)
        params = jax.tree.map(jnp.add, params, change)
        updates.append(change)
    return Run(params, updates, state, num_traces)


def find(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@functools.cache
def expected(name: str) -> Run:
    return run(find(name).build(), kwargs=find(name).update_kwargs)


@functools.cache
def expected_for_block(name: str) -> list[Any]:
    """The updates of the block where it is all that the transformation sees."""
    blocks = [{"block": grad["block"]} for grad in GRADS]
    case, params = find(name), {"block": PARAMS["block"]}
    return [
        updates["block"]
        for updates in run(case.build(), params, blocks, case.update_kwargs).updates
    ]


def assert_same(actual: Any, desired: Any, rtol: float = 0.0) -> None:
    """Asserts equal structures, shapes, dtypes and values (to the bit by default)."""
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    for a, d in zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True):
        assert jnp.result_type(a) == jnp.result_type(d)
        np.testing.assert_allclose(
            np.asarray(a, np.float64), np.asarray(d, np.float64), rtol, rtol
        )


def types(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype), jax.eval_shape(lambda: tree))


# The table itself.


def test_every_public_transformation_has_a_case() -> None:
    assert public_transformations() == {case.factory.__name__ for case in CASES}


def test_skips_name_checks_and_reasons() -> None:
    checks = {name.removeprefix("test_") for name in globals()}
    for case in CASES:
        assert set(case.skips) <= checks
        assert all(case.skips.values())


def test_every_check_is_a_promise_of_the_documentation() -> None:
    checks = [
        name.removeprefix("test_")
        for name, test in globals().items()
        if name.startswith("test_") and "case" in inspect.signature(test).parameters
    ]
    promised = [check for checks in PROMISES.values() for check in checks]
    assert sorted(promised) == sorted(checks)


def test_the_documentation_shows_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "contract.md"
    if not page.exists():
        pytest.skip("the documentation is not here: these are the tests of a wheel")
    assert contract_table() in page.read_text(), f"put into {page}:\n{contract_table()}"


# The interface.


def test_unexpected_extra_arguments_are_accepted(case: Case) -> None:
    tx = case.build()
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    extra = {"loss": 1.0, "unheard_of": object()}
    updates, _ = jax.eval_shape(
        lambda: tx.update(
            GRADS[0], tx.init(PARAMS), PARAMS, **case.update_kwargs, **extra
        )
    )
    assert types(updates) == types(GRADS[0])


def test_missing_params(case: Case) -> None:
    tx = case.build()
    state = tx.init(PARAMS)
    if case.needs_params:
        with pytest.raises(ValueError, match="needs the parameters: call update"):
            tx.update(GRADS[0], state, **case.update_kwargs)
    else:
        jax.eval_shape(lambda: tx.update(GRADS[0], state, **case.update_kwargs))


def test_gradients_that_do_not_fit_are_named(case: Case) -> None:
    tx = case.build()
    state, kernel = tx.init(PARAMS), GRADS[0]["head"]["kernel"]
    for head, message in (
        ({"kernel": kernel[:1]}, r"'head/kernel' has the shape \(4, 4\), .* \(1, 4\)"),
        ({}, "the updates do not fit the parameters: .* none for 'head/kernel'"),
        ({"kernel": kernel, "new": kernel}, ".* not fit .*: 'head/new' is no leaf"),
        ({"kernel": [kernel]}, "'head/kernel' is an array, but its update"),
    ):
        with pytest.raises(ValueError, match=f"^{case.factory.__name__}: {message}"):
            tx.update(GRADS[0] | {"head": head}, state, PARAMS, **case.update_kwargs)


def test_second_call_does_not_recompile(case: Case) -> None:
    assert len(expected(case.name).updates) > 1
    assert expected(case.name).num_traces == 1


def test_eager_equals_jit(case: Case) -> None:
    tx = case.build()
    updates, _ = tx.update(GRADS[0], tx.init(PARAMS), PARAMS, **case.update_kwargs)
    assert_same(updates, expected(case.name).updates[0], 1e-5)


def test_init_under_eval_shape(case: Case) -> None:
    tx = case.build()
    abstract = jax.eval_shape(lambda: PARAMS)
    assert types(jax.eval_shape(tx.init, abstract)) == types(tx.init(PARAMS))


def test_map_params_is_a_no_op(case: Case) -> None:
    tx = case.build()
    state = expected(case.name).state
    assert_same(optax.tree.map_params(tx, lambda leaf: leaf, state), state)


@pytest.mark.slow
def test_inject_hyperparams_changes_nothing(case: Case) -> None:
    with standard_promotion():
        injected = optax.inject_hyperparams(case.factory, static_args=case.static_args)
        got = run(injected(**case.arguments), kwargs=case.update_kwargs)
    assert_same(got.updates, expected(case.name).updates, 1e-6)
    assert_same(got.state.inner_state, expected(case.name).state, 1e-6)


# Dtypes and shapes. Tracing alone decides these.


def dtypes() -> list[Any]:
    return [jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64]


@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: dtype.__name__)
def test_dtypes_are_kept(case: Case, dtype: Any) -> None:
    with enable_x64(dtype == jnp.float64):
        params, grads = make_tree(0, dtype), make_tree(1, dtype)

        def step(number: Any, sweep: Callable[[Any], Tx] | None) -> Any:
            tx = sweep(number) if sweep else case.build()
            state = tx.init(params)
            return state, *tx.update(grads, state, params, **case.update_kwargs)

        for sweep in (None, case.sweep):
            before, updates, after = jax.eval_shape(
                functools.partial(step, sweep=sweep), jnp.asarray(2.0, jnp.float32)
            )
            assert types(updates) == types(grads)
            assert types(after) == types(before)


@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: dtype.__name__)
def test_state_is_stable_through_cond_and_scan(case: Case, dtype: Any) -> None:
    with enable_x64(dtype == jnp.float64):
        params, grads = make_tree(0, dtype), make_tree(1, dtype)
        # The loss is deliberately of another dtype than the parameters.
        value = jnp.asarray(1.0, jnp.float16 if dtype == jnp.float32 else jnp.float32)
        kwargs = {**case.update_kwargs, "value": value}
        tx = case.build()

        def advance(state: Any, _: Any) -> Any:
            return tx.update(grads, state, params, **kwargs)[1], None

        def both(skip: Any) -> Any:
            state = tx.init(params)
            state = jax.lax.cond(
                skip, lambda s: s, lambda s: advance(s, None)[0], state
            )
            return jax.lax.scan(advance, state, length=3)[0]

        state = jax.eval_shape(tx.init, params)
        assert types(jax.eval_shape(both, True)) == types(state)


def test_scan_equals_a_loop(case: Case) -> None:
    tx = case.build()

    def step(carry: Any, grad: Any) -> Any:
        params, state = carry
        updates, state = tx.update(grad, state, params, **case.update_kwargs)
        return (jax.tree.map(jnp.add, params, updates), state), updates

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *GRADS)
    scan = jax.jit(lambda carry: jax.lax.scan(step, carry, stacked)[0])
    want = expected(case.name)
    assert_same(scan((PARAMS, tx.init(PARAMS))), (want.params, want.state), 1e-5)


# Derivatives.


@pytest.mark.slow
def test_differentiates(case: Case) -> None:
    """Through three updates, with matrices and gradients of zeros: meta-learning."""
    with enable_x64(True):
        params = make_tree(0, jnp.float64)
        grads = [make_tree(seed, jnp.float64) for seed in (1, 2, 3)]
        zeros = {"kernel": jnp.zeros_like(params["head"]["kernel"])}
        grads[0] |= {"head": zeros}

        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *grads)

        def final(scale: Any, number: Any, head: Any) -> Any:
            tx = case.sweep(number) if case.sweep else case.build()
            at = {
                name: jax.tree.map(lambda w: scale * w, params[name]) for name in params
            }
            at["head"] = jax.tree.map(lambda w: head * w, at["head"])

            def step(carry: Any, grad: Any) -> Any:
                at, state = carry
                change, state = tx.update(grad, state, at, **case.update_kwargs)
                return (jax.tree.map(jnp.add, at, change), state), None

            at, _ = jax.lax.scan(step, (at, tx.init(at)), stacked)[0]
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(at))

        @jax.jit
        def both(*at: Any) -> Any:
            value, reverse = jax.value_and_grad(final, (0, 1))(*at)
            return value, reverse, jax.jacfwd(final, (0, 1))(*at)

        for head in (1.0, 0.0):  # at zero, what has no norm
            _, reverse, forward = both(1.0, 2.0, head)
            assert np.all(np.isfinite(reverse))
            np.testing.assert_allclose(reverse, forward, rtol=1e-6, atol=1e-9)
        higher, lower = (both(scale, 2.0, 1.0)[0] for scale in (1 + 1e-6, 1 - 1e-6))
        slope = both(1.0, 2.0, 1.0)[1][0]
        np.testing.assert_allclose(slope, (higher - lower) / 2e-6, rtol=1e-4)


# Inside optax's wrappers.


@pytest.mark.slow
def test_multi_steps(case: Case) -> None:
    with standard_promotion():
        tx = optax.MultiSteps(case.build(), 4)
        updates = run(tx, grads=[GRADS[0]] * 4, kwargs=case.update_kwargs).updates
    for held in updates[:3]:
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(held))
    assert_same(updates[3], expected(case.name).updates[0], 1e-5)


@pytest.mark.slow
def test_masked(case: Case) -> None:
    tx = optax.masked(case.build(), {"block": True, "head": False})
    updates = run(tx, kwargs=case.update_kwargs).updates
    assert_same([u["block"] for u in updates], expected_for_block(case.name), 1e-6)
    assert_same([u["head"] for u in updates], [g["head"] for g in GRADS])


@pytest.mark.slow
def test_partition(case: Case) -> None:
    labels = {"block": "ours", "head": "rest"}
    tx = optax.partition({"ours": case.build(), "rest": optax.scale(0.5)}, labels)
    updates = run(tx, kwargs=case.update_kwargs).updates
    assert_same([u["block"] for u in updates], expected_for_block(case.name), 1e-6)
    halves = [jax.tree.map(lambda g: 0.5 * g, grad["head"]) for grad in GRADS]
    assert_same([u["head"] for u in updates], halves)


@pytest.mark.slow
def test_chain_named_chain_and_apply_if_finite(case: Case) -> None:
    tx = optax.chain(
        optax.identity(),
        optax.named_chain(("ours", optax.apply_if_finite(case.build(), 3))),
    )
    got = run(tx, kwargs=case.update_kwargs)
    assert_same(got.updates, expected(case.name).updates, 1e-6)
    assert_same(got.state[1]["ours"].inner_state, expected(case.name).state, 1e-6)


# Odd trees.


def check_structure(case: Case, params: Any, grads: Any) -> None:
    tx = case.build()

    def step(params: Any, grads: Any) -> Any:
        return tx.update(grads, tx.init(params), params, **case.update_kwargs)[0]

    assert types(jax.eval_shape(step, params, grads)) == types(grads)


def test_none_leaves(case: Case) -> None:
    params, grads = (
        tree | {"frozen": None, "head": tree["head"] | {"bias": None}}
        for tree in (PARAMS, GRADS[0])
    )
    check_structure(case, params, grads)


def test_none_gradients(case: Case) -> None:
    check_structure(case, PARAMS, GRADS[0] | {"head": {"kernel": None}})


@pytest.mark.parametrize("tree", [{}, (), {"a": {}}], ids=repr)
def test_empty_tree(case: Case, tree: Any) -> None:
    tx = case.build()
    updates, _ = tx.update(tree, tx.init(tree), tree, **case.update_kwargs)
    assert updates == tree


@pytest.mark.filterwarnings("ignore:project_weights. in .* of a single weight")
def test_scalar_leaf(case: Case) -> None:
    params = {"gain": jnp.float32(3.0), "norm": {"scale": jnp.float32(2.0)}}
    grads = jax.tree.map(jnp.ones_like, params)
    tx = case.build()
    updates, _ = tx.update(grads, tx.init(params), params, **case.update_kwargs)
    assert types(updates) == types(params)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(updates))


# Sweeps.


@pytest.mark.slow
def test_vmap_over_hyperparameters(case: Case) -> None:
    assert case.sweep is not None

    def final(number: Any) -> Any:
        return run(
            case.sweep(number), grads=GRADS[:2], kwargs=case.update_kwargs
        ).params

    together = jax.jit(jax.vmap(final))(jnp.array([1.0, 2.0, 3.0]))
    alone = final(2.0)
    assert_same(jax.tree.map(lambda leaf: leaf[1], together), alone, 1e-5)


def test_concrete_hyperparameter_under_jit(case: Case) -> None:
    # Arrays that a jitted function closes over are concrete, but what it computes from
    # them is traced.
    assert case.sweep is not None
    number = jnp.float32(2.0)
    jax.eval_shape(lambda: run(case.sweep(number), kwargs=case.update_kwargs))


# Buffers and files.


def test_donated_buffers(case: Case) -> None:
    tx = case.build()
    update = jax.jit(
        functools.partial(tx.update, **case.update_kwargs), donate_argnums=(0, 1)
    )
    params, state = PARAMS, tx.init(PARAMS)
    for grad, want in zip(GRADS, expected(case.name).updates, strict=True):
        updates, state = update(jax.tree.map(jnp.copy, grad), state, params)
        assert_same(updates, want, 1e-6)
        params = jax.tree.map(jnp.add, params, updates)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(params))


def test_donation_spares_hyperparameters(case: Case) -> None:
    assert case.sweep is not None
    number = jnp.float32(2.0)
    tx = case.sweep(number)
    state = tx.init(PARAMS)
    jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)
    assert not number.is_deleted()
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(PARAMS))


def test_pickle(case: Case) -> None:
    state = expected(case.name).state
    assert_same(pickle.loads(pickle.dumps(state)), state)


@pytest.fixture(scope="module")
def restored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Any]:
    """All states, through one orbax checkpoint."""
    ocp = pytest.importorskip("orbax.checkpoint")
    cases = [params["case"] for params in selected(request, "test_orbax")]
    states = {case.name: expected(case.name).state for case in cases}
    path = tmp_path_factory.mktemp("orbax") / "states"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, states)
        checkpointer.wait_until_finished()
        return checkpointer.restore(path, jax.eval_shape(lambda: states))


@pytest.mark.slow
def test_orbax(case: Case, restored: Mapping[str, Any]) -> None:
    assert_same(restored[case.name], expected(case.name).state)


# Training states of flax.


@pytest.mark.slow
def test_linen_train_state(case: Case) -> None:
    train_state = pytest.importorskip("flax.training.train_state")
    with standard_promotion():
        state = train_state.TrainState.create(
            apply_fn=None, params={"params": PARAMS}, tx=case.build()
        )
        for grad in GRADS:
            state = state.apply_gradients(grads={"params": grad})
    # It cannot pass extra arguments to `update`.
    want = run(case.build()) if case.update_kwargs else expected(case.name)
    assert_same(state.params["params"], want.params, 1e-5)


@pytest.mark.slow
def test_nnx_optimizer(case: Case) -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Part(nnx.Module):
        def __init__(self, leaves: Mapping[str, Any]) -> None:
            for name, leaf in leaves.items():
                setattr(self, name, nnx.Param(leaf))

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.block = Part(PARAMS["block"])
            self.head = Part(PARAMS["head"])

    net = Net()
    optimizer = nnx.Optimizer(net, case.build(), wrt=nnx.Param)
    abstract = nnx.state(net, nnx.Param)
    for grad in GRADS:
        grads = jax.tree.unflatten(jax.tree.structure(abstract), jax.tree.leaves(grad))
        optimizer.update(net, grads, **case.update_kwargs)
    got = nnx.to_pure_dict(nnx.state(net, nnx.Param))
    assert_same(got, expected(case.name).params, 1e-5)


# Several devices.


class Sharded(NamedTuple):
    """What one sharded update did."""

    largest_difference: float
    all_gathers: int
    all_reduces: int
    other_collectives: int
    state_shardings_kept: bool


def sharded_update(case: Case) -> Sharded:
    """Compares an update of sharded parameters and moments with one device's."""
    mesh = jax.make_mesh((8,), ("fsdp",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("fsdp"))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    tx = optax.chain(optax.trace(0.9), case.build())
    params, grads = make_tree(0, width=16), make_tree(1, width=16)
    state = tx.init(params)
    sizes = {leaf.shape for leaf in jax.tree.leaves(params)}

    def place(tree: Any) -> Any:
        return jax.tree.map(
            lambda leaf: jax.device_put(
                leaf, rows if leaf.shape in sizes else everywhere
            ),
            tree,
        )

    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = tx.update(grads, state, params, **case.update_kwargs)
        return jax.tree.map(jnp.add, params, updates), state

    alone = jax.jit(step)(grads, state, params)
    inputs = (place(grads), place(state), place(params))
    shardings = jax.tree.map(lambda leaf: leaf.sharding, (inputs[2], inputs[1]))
    compiled = jax.jit(step, out_shardings=shardings).lower(*inputs).compile()
    together = compiled(*inputs)
    differences = jax.tree.map(
        lambda a, b: float(np.max(np.abs(np.asarray(a, float) - np.asarray(b, float)))),
        alone,
        together,
    )
    text = compiled.as_text()

    def count(operations: str) -> int:
        return len(re.findall(rf" ({operations})(-start)?\(", text))

    return Sharded(
        largest_difference=max(jax.tree.leaves(differences)),
        all_gathers=count("all-gather"),
        all_reduces=count("all-reduce"),
        other_collectives=count("all-to-all|collective-permute|reduce-scatter"),
        state_shardings_kept=all(
            a.sharding.is_equivalent_to(b.sharding, a.ndim)
            for a, b in zip(
                jax.tree.leaves(inputs[1]), jax.tree.leaves(together[1]), strict=True
            )
        ),
    )


def sharded_updates(*names: str) -> dict[str, Any]:
    """Runs in a process of 8 devices: see `sharded`."""
    assert jax.device_count() == 8
    return {name: sharded_update(find(name))._asdict() for name in names}


@pytest.fixture(scope="module")
def sharded(
    request: pytest.FixtureRequest, call_on_8_devices: Callable[..., Any]
) -> Mapping[str, Any]:
    chosen = selected(request, "test_sharded_parameters")
    names = [params["case"].name for params in chosen]
    return call_on_8_devices(__file__, sharded_updates.__name__, *names)


@pytest.mark.slow
def test_sharded_parameters(case: Case, sharded: Mapping[str, Any]) -> None:
    result = Sharded(**sharded[case.name])
    assert result.largest_difference < 1e-6
    assert result.all_gathers == 0
    assert result.other_collectives == 0
    if COMBINES_ALL_REDUCES:
        # All norms together, not one message for each leaf.
        fewest = min(1, case.all_reduces)
        assert fewest <= result.all_reduces <= case.all_reduces
    assert result.state_shardings_kept
