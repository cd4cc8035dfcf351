"""Resets of weights and moments, and what projection does afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers.contract_cases import standard_promotion
from helpers.projecting import norms
from nap_optax import _references, masks, reset_leaves, shrink_and_perturb

OTHER_FIELDS = {
    *("cusum_baseline", "cusum_down", "cusum_up"),
    *("hyperball_inner_state", "hyperball_projection_state", "hyperball_rate_state"),
    *("last_learning_rate", "last_rewarm_step", "num_restarts", "num_rewarms"),
    *("page_hinkley_baseline", "page_hinkley_down", "page_hinkley_up"),
    *("projection_step", "relative_update", "restart_detector_state", "restart_step"),
    *("restarted_state", "rewarm_detector_state", "rewarming_step"),
    *("singular_vector", "steps_since_rewarm"),
}
HEAD = masks.by_path([("head/.*", True), (".*", False)])


@pytest.fixture
def fresh(params: Any) -> Any:
    """Twice as large: kernels of norms 10 and 4."""
    return jax.tree.map(lambda leaf: 2 * leaf, params)


def update(tx: Any, grad: float, state: Any, params: Any) -> Any:
    """One update, all gradients alike. (Adam's own arithmetic mixes dtypes.)"""
    grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, grad), params)
    with standard_promotion():
        return jax.jit(tx.update)(grads, state, params)


def train(tx: Any, params: Any, num_updates: int = 2) -> tuple[Any, Any]:
    state = tx.init(params)
    for _ in range(num_updates):
        updates, state = update(tx, 1.0, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params, state


def assert_equal(actual: Any, desired: Any) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    jax.tree.map(np.testing.assert_array_equal, actual, desired)


# Shrink and perturb.


def test_shrink_and_perturb_by_hand(params: Any, fresh: Any) -> None:
    # 0.4 w + 0.1 * 2 w = 0.6 w, biases and scales too.
    got = shrink_and_perturb(params, fresh, 0.4, 0.1)
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, 0.6 * w, rtol=1e-6), got, params
    )


def test_shrink_and_perturb_chooses_leaves(params: Any, fresh: Any) -> None:
    got = shrink_and_perturb(params, fresh, 0.4, 0.1, mask=masks.matrices)
    assert_equal(got["block"]["scale"], params["block"]["scale"])
    np.testing.assert_allclose(got["head"]["kernel"], [[0.0, 1.2]], rtol=1e-6)
    counts = {"count": jnp.ones(2, jnp.int32)}
    assert_equal(shrink_and_perturb(counts, counts, 0.5, 0.5), counts)


def test_shrink_and_perturb_under_transformations(params: Any, fresh: Any) -> None:
    shrinks = jnp.array([0.0, 0.4])
    got = jax.jit(
        jax.vmap(lambda shrink: shrink_and_perturb(params, fresh, shrink, 0.1))
    )(shrinks)
    np.testing.assert_allclose(got["head"]["kernel"][:, 0, 1], [0.4, 1.2], rtol=1e-6)

    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    got = jax.lax.cond(
        True,
        lambda: shrink_and_perturb(half, fresh, shrinks[1], 0.1),
        lambda: half,
    )
    assert got["head"]["kernel"].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(got["head"]["kernel"], float)[0, 1], 1.203125)


def test_projection_leaves_the_ratio_of_shrink_and_perturb() -> None:
    # (1, 0) and (0, 1): to (a, b), and with the next update back to norm 1.
    params, fresh = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
    tx = nap_optax.project_weights()
    state = tx.init(params)
    for shrink, perturb in ((0.4, 0.3), (0.8, 0.6)):
        new = shrink_and_perturb(params, fresh, shrink, perturb)
        updates, state = update(tx, 0.0, state, new)
        np.testing.assert_allclose(new + updates, [[0.8, 0.6]], rtol=1e-6)


# Resets of leaves.


def test_weights_and_moments(params: Any, fresh: Any) -> None:
    tx = optax.adam(0.1, b1=0.5, b2=0.5)
    trained, state = train(tx, params)
    new, new_state = reset_leaves(tx, trained, state, fresh, mask=HEAD)
    assert_equal(new, trained | {"head": fresh["head"]})
    for name in ("mu", "nu"):
        before, after = (optax.tree.get(s, name) for s in (state, new_state))
        assert_equal(after["block"], before["block"])
        np.testing.assert_array_equal(before["head"]["kernel"], 0.75)
        np.testing.assert_array_equal(after["head"]["kernel"], 0.0)
    assert optax.tree.get(new_state, "count") == 2


def test_adam_does_not_correct_moments_that_start_late() -> None:
    # Betas of 1/2 and gradients of 1. At count 2 both moments are 1/2 and their
    # corrections 3/4: (2/3) / sqrt(2/3) for the reset leaf, 1 for the other.
    tx = optax.scale_by_adam(b1=0.5, b2=0.5, eps=0.0)
    params = {"old": jnp.zeros(1), "new": jnp.zeros(1)}
    _, state = train(tx, params, 1)
    mask = {"old": False, "new": True}
    params, state = reset_leaves(tx, params, state, params, mask=mask)
    updates, _ = update(tx, 1.0, state, params)
    np.testing.assert_allclose(updates["old"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(updates["new"], (2 / 3) ** 0.5, rtol=1e-6)
    # Late in training, at the default betas: 0.1 / sqrt(0.001) = 3.16.
    tx = optax.scale_by_adam()
    late = tx.init(params)._replace(count=jnp.int32(100_000))
    updates, _ = update(tx, 1.0, late, params)
    np.testing.assert_allclose(updates["new"], 0.1 / 0.001**0.5, rtol=1e-4)


def test_full_reset(params: Any, fresh: Any) -> None:
    tx = optax.adam(0.1)
    trained, state = train(tx, params)
    new, new_state = reset_leaves(tx, trained, state, fresh)
    assert_equal(new, fresh)
    assert_equal(new_state, optax.tree.set(tx.init(fresh), count=jnp.int32(2)))


def test_counts_rates_and_detectors_stay(params: Any, fresh: Any) -> None:
    schedule = nap_optax.schedules.warmup_constant(0.1, warmup_steps=9)
    tx = nap_optax.nap(
        optax.scale_by_adam(), schedule, detector=nap_optax.every(1), reset_inner=True
    )
    trained, state = train(tx, params, 3)
    _, new_state = reset_leaves(tx, trained, state, fresh)
    for name in (
        "num_rewarms",
        "num_restarts",
        "projection_step",
        "last_learning_rate",
    ):
        before, after = (optax.tree.get(s, name) for s in (state, new_state))
        np.testing.assert_array_equal(after, before)
    assert optax.tree.get(new_state, "num_rewarms") == 2
    assert not np.any(optax.tree.get(new_state, "mu")["head"]["kernel"])


def chain() -> Any:
    return optax.chain(
        optax.scale_by_adam(),
        nap_optax.l2_init(0.1),
        nap_optax.hold_elr(),
        optax.scale(-0.1),
        nap_optax.project_weights(),
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: optax.masked(tx, masks.matrices),
        lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
        lambda tx: optax.inject_hyperparams(
            lambda rate: optax.chain(tx, optax.scale(rate))
        )(0.1),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.partition(
            {"ours": tx, "none": optax.set_to_zero()},
            masks.by_path([(".*kernel", "ours"), (".*", "none")]),
        ),
    ],
    ids=["plain", "masked", "MultiSteps", "inject", "apply_if_finite", "partition"],
)
def test_references_stay(params: Any, fresh: Any, wrap: Any) -> None:
    tx = wrap(chain())
    trained, state = train(tx, params)
    new, new_state = reset_leaves(tx, trained, state, fresh)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    np.testing.assert_array_equal(new["head"]["kernel"], fresh["head"]["kernel"])
    for name, at_init in (
        ("target_norm", 2.0),
        ("reference_norm", 2.0),
        ("initial_weights", params["head"]["kernel"]),
    ):
        kept = optax.tree.get(new_state, name)["head"]["kernel"]
        np.testing.assert_array_equal(kept, at_init)
    assert np.any(optax.tree.get(state, "mu")["head"]["kernel"])
    assert not np.any(optax.tree.get(new_state, "mu")["head"]["kernel"])


def test_every_field_of_a_state_is_a_reference_or_is_known_to_be_none() -> None:
    fields = {
        field
        for name in nap_optax.__all__
        if name.endswith("State")
        for field in getattr(nap_optax, name)._fields
    }
    # A new field is either: else it would be set anew where a state starts again.
    assert fields == _references.FIELDS | OTHER_FIELDS
    assert not _references.FIELDS & OTHER_FIELDS


def test_l2_init_pulls_a_reset_leaf_toward_the_first_weights(
    params: Any, fresh: Any
) -> None:
    tx = nap_optax.l2_init(1.0)
    new, state = reset_leaves(tx, params, tx.init(params), fresh)
    updates, _ = update(tx, 0.0, state, new)
    assert_equal(updates, params)  # fresh - first = 2 w - w


def test_projection_returns_a_reset_leaf_to_its_old_radius(
    params: Any, fresh: Any
) -> None:
    tx = optax.chain(optax.adam(0.1), nap_optax.project_weights())
    trained, state = train(tx, params)
    new, state = reset_leaves(tx, trained, state, fresh, mask=HEAD)
    np.testing.assert_allclose(norms(new["head"]["kernel"]), 4.0)
    updates, _ = update(tx, 0.0, state, new)
    after = new["head"]["kernel"] + updates["head"]["kernel"]
    np.testing.assert_allclose(norms(after), 2.0, rtol=1e-6)
    # Unless its radius is replaced as well.
    radii = nap_optax.project_weights().init(new).target_norm
    updates, _ = update(tx, 0.0, optax.tree.set(state, target_norm=radii), new)
    after = new["head"]["kernel"] + updates["head"]["kernel"]
    np.testing.assert_allclose(norms(after), 4.0, rtol=1e-6)


def test_spectral_regularization_starts_again(params: Any) -> None:
    kernels = {"block": params["block"]["kernel"], "head": params["block"]["kernel"]}
    tx = nap_optax.spectral_regularization(0.1)
    trained, state = train(tx, kernels, 5)
    before = state.singular_vector
    _, new_state = reset_leaves(
        tx, trained, state, kernels, mask={"block": False, "head": True}
    )
    after, start = new_state.singular_vector, tx.init(kernels).singular_vector
    np.testing.assert_array_equal(after["block"], before["block"])
    np.testing.assert_array_equal(after["head"], start["head"])
    assert np.any(after["block"] != after["head"])


@pytest.mark.slow
def test_under_jit_cond_and_vmap(params: Any, fresh: Any) -> None:
    tx = chain()
    trained, state = train(tx, params)
    want = reset_leaves(tx, trained, state, fresh, mask=HEAD)

    def maybe(due: Any, trained: Any, state: Any, fresh: Any) -> Any:
        return jax.lax.cond(
            due,
            lambda: reset_leaves(tx, trained, state, fresh, mask=HEAD),
            lambda: (trained, state),
        )

    assert_equal(jax.jit(maybe)(True, trained, state, fresh), want)
    assert_equal(jax.jit(maybe)(False, trained, state, fresh), (trained, state))
    twice = jax.tree.map(lambda *leaves: jnp.stack(leaves), fresh, params)
    many = jax.vmap(lambda new: reset_leaves(tx, trained, state, new, mask=HEAD))(twice)
    assert_equal(jax.tree.map(lambda leaf: leaf[0], many), want)
    other = reset_leaves(tx, trained, state, params, mask=HEAD)
    assert_equal(jax.tree.map(lambda leaf: leaf[1], many), other)


def test_dtypes_and_none_leaves(params: Any, fresh: Any) -> None:
    tx = chain()
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    half, fresh = half | {"frozen": None}, fresh | {"frozen": None}
    state = tx.init(half)
    new, new_state = reset_leaves(tx, half, state, fresh, mask=HEAD)
    for got, old in ((new, half), (new_state, state)):
        assert jax.tree.map(jnp.result_type, got) == jax.tree.map(jnp.result_type, old)
    np.testing.assert_array_equal(np.asarray(new["head"]["kernel"], float), [[0, 4]])


# Buffers.


@pytest.mark.parametrize("mask", [None, HEAD], ids=["all", "head"])
def test_the_callers_buffers_outlive_a_donating_step(
    params: Any, fresh: Any, mask: Any
) -> None:
    tx = optax.chain(chain(), remember())
    state = tx.init(params)
    jitted = jax.jit(
        lambda *trees: jax.tree.map(lambda leaf: leaf + 1, trees), donate_argnums=(0, 1)
    )
    kept = params, state, fresh
    before = jax.tree.map(np.asarray, kept)
    for _ in range(2):  # a policy and its target, from the same trees
        jitted(*reset_leaves(tx, params, state, fresh, mask=mask))
        jitted(shrink_and_perturb(params, fresh, 0.4, 0.1, mask=mask), 0)
    jitted(
        reset_leaves(tx, params, state, fresh, mask=mask),
        reset_leaves(tx, params, state, fresh, mask=mask),
    )
    assert_equal(kept, before)


def remember() -> Any:
    """A state that shares the buffers of the parameters."""
    return optax.GradientTransformation(
        lambda params: params, lambda updates, state, _=None: (updates, state)
    )


# Boxes of Flax, and modules as parameters.


def perceptron(seed: int, names: Any = None) -> Any:
    nnx = pytest.importorskip("flax.nnx")

    class MLP(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            init = nnx.initializers.lecun_normal()
            if names is not None:
                init = nnx.with_partitioning(init, names)
            self.body = nnx.Linear(4, 8, rngs=rngs, kernel_init=init)
            self.dropout = nnx.Dropout(0.1, rngs=rngs)
            self.head = nnx.Linear(8, 1, rngs=rngs)

    return MLP(nnx.Rngs(seed))


@pytest.fixture
def mesh() -> Iterator[None]:
    """What NNX needs for the metadata of a sharding."""
    pytest.importorskip("flax.nnx")
    auto = jax.sharding.AxisType.Auto
    with jax.set_mesh(jax.make_mesh((1,), ("model",), axis_types=(auto,))):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize("pure", [False, True], ids=["boxed", "pure"])
@pytest.mark.parametrize(
    ("tx", "names"),
    [(chain(), None), (chain(), (None, "model"))],
    ids=["chain", "sharded"],
)
def test_nnx_optimizer(tx: Any, names: Any, pure: bool) -> None:
    nnx = pytest.importorskip("flax.nnx")
    model, other = perceptron(0, names), perceptron(1, names)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    params, fresh = (nnx.state(module, nnx.Param) for module in (model, other))
    with standard_promotion():
        optimizer.update(model, jax.tree.map(jnp.ones_like, params))
    trained = nnx.as_pure(nnx.state(model, nnx.Param))
    trees = (nnx.state(model, nnx.Param), fresh)
    if pure:
        trees = tuple(map(nnx.as_pure, trees))
    got = reset_leaves(tx, trees[0], optimizer.opt_state, trees[1], mask=HEAD)
    assert jax.tree.structure(got[0]) == jax.tree.structure(trees[0])
    assert jax.tree.structure(got[1]) == jax.tree.structure(optimizer.opt_state)
    nnx.update(model, got[0])
    nnx.update(optimizer.opt_state, nnx.state(got[1]))
    now = nnx.as_pure(nnx.state(model, nnx.Param))
    assert_equal(now["head"], nnx.as_pure(fresh)["head"])
    assert_equal(now["body"], trained["body"])
    state = nnx.as_pure(optimizer.opt_state)
    mu = optax.tree.get(state, "mu")
    assert np.all(np.asarray(mu["body"]["kernel"]) != 0)
    assert not np.any(mu["head"]["kernel"])
    assert optax.tree.get(state, "count") == 1
    with standard_promotion():
        optimizer.update(model, jax.tree.map(jnp.ones_like, params))
    assert optax.tree.get(nnx.as_pure(optimizer.opt_state), "count") == 2


def test_boxes_of_linen(params: Any, fresh: Any) -> None:
    nn = pytest.importorskip("flax.linen")

    def boxed(tree: Any) -> Any:
        kernel = nn.Partitioned(tree["block"]["kernel"], (None, "model"))
        return tree | {"block": tree["block"] | {"kernel": kernel}}

    tx = chain()
    want = reset_leaves(tx, *train(tx, params), fresh, mask=HEAD)
    trained, state = train(tx, boxed(params))
    got = reset_leaves(tx, trained, state, boxed(fresh), mask=HEAD)
    for tree, before, plain in zip(got, (trained, state), want, strict=True):
        assert jax.tree.structure(tree) == jax.tree.structure(before)
        for leaf, other in zip(*map(jax.tree.leaves, (tree, plain)), strict=True):
            np.testing.assert_array_equal(leaf, other)
    mixed = shrink_and_perturb(trained, boxed(fresh), 0.4, 0.1)
    assert jax.tree.structure(mixed) == jax.tree.structure(trained)


def test_a_state_may_lack_boxes_or_have_nodes_of_its_own() -> None:
    nn = pytest.importorskip("flax.linen")

    def init(params: Any) -> Any:
        if not jax.tree.leaves(params):
            return {"pairs": params, "bare": params}
        pairs = jax.tree.map(lambda leaf: (leaf, -leaf), params)
        return {"pairs": pairs, "bare": nn.meta.unbox(params)}

    tx = optax.GradientTransformation(init, lambda *_: _)  # type: ignore[arg-type]
    params = {
        "body": {"kernel": nn.Partitioned(jnp.ones(1), ("model",))},
        "head": {"kernel": nn.Partitioned(jnp.ones(1), ("model",))},
    }
    fresh = jax.tree.map(lambda leaf: 3 * leaf, params)
    _, state = reset_leaves(tx, params, tx.init(params), fresh, mask=HEAD)
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))
    assert [leaf.item() for leaf in jax.tree.leaves(state)] == [1, 3, 1, -1, 3, -3]


def whole_module(scale: float) -> Any:
    """What a module of Equinox has among its leaves."""
    return {
        "activation": jax.nn.relu,
        "count": jnp.int32(scale),
        "frozen": None,
        "head": {"kernel": jnp.full((2, 2), scale)},
        "key": jax.random.key(int(scale)),
        "rate": scale / 8,
        "inference": False,
    }


@pytest.mark.parametrize(
    "is_param",
    [
        lambda leaf: isinstance(leaf, jax.Array) and leaf.ndim > 0,
        lambda leaf: isinstance(leaf, jax.Array),
    ],
    ids=["floating", "arrays"],
)
def test_whole_modules(is_param: Any) -> None:
    module, fresh = whole_module(1.0), whole_module(2.0)
    tx = optax.chain(optax.trace(0.9), nap_optax.project_weights())
    params = jax.tree.map(lambda leaf: leaf if is_param(leaf) else None, module)
    state = tx.init(params)
    state = jax.tree.map(
        lambda leaf: leaf + 1 if jnp.issubdtype(leaf.dtype, jnp.number) else leaf, state
    )
    new, new_state = reset_leaves(tx, module, state, fresh)
    assert new["activation"] is jax.nn.relu
    assert (new["rate"], new["inference"], new["frozen"]) == (0.25, False, None)
    assert new["count"] == 2
    assert new["key"] == fresh["key"]
    np.testing.assert_array_equal(new["head"]["kernel"], 2.0)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    trace = optax.tree.get(new_state, "trace")
    np.testing.assert_array_equal(trace["head"]["kernel"], 0.0)
    assert optax.tree.get(new_state, "projection_step") == 1
    new, new_state = reset_leaves(
        tx, module, state, fresh, mask=lambda tree: jax.tree.map(lambda _: False, tree)
    )
    assert new["key"] == module["key"]
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    assert_equal(
        optax.tree.get(new_state, "trace")["head"],
        optax.tree.get(state, "trace")["head"],
    )


def test_shrink_and_perturb_of_whole_modules() -> None:
    module, fresh = whole_module(1.0), whole_module(2.0)
    for mask in (None, True):
        new = shrink_and_perturb(module, fresh, 0.5, 0.25, mask=mask)
        assert jax.tree.structure(new) == jax.tree.structure(module)
        assert new["activation"] is jax.nn.relu
        assert new["key"] == module["key"]
        np.testing.assert_array_equal(new["head"]["kernel"], 1.0)
        for name in ("rate", "count", "inference"):
            assert new[name] == module[name]
            assert type(new[name]) is type(module[name])


def test_a_state_of_other_parameters_is_refused(params: Any, fresh: Any) -> None:
    tx = optax.adam(0.1)
    with pytest.raises(ValueError, match="opt_state does not fit: it is not what"):
        reset_leaves(tx, params, tx.init(params["head"]), fresh)
    with pytest.raises(ValueError, match="opt_state does not fit"):
        reset_leaves(tx, params, optax.sgd(0.1).init(params), fresh)


@pytest.mark.parametrize("reset", [shrink_and_perturb, reset_leaves])
def test_trees_that_do_not_fit(params: Any, fresh: Any, reset: Any) -> None:
    tx = optax.adam(0.1)

    def call(fresh: Any, mask: Any = None) -> Any:
        if reset is reset_leaves:
            return reset(tx, params, tx.init(params), fresh, mask=mask)
        return reset(params, fresh, 0.5, 0.5, mask=mask)

    with pytest.raises(ValueError, match=r"fresh_params does not fit .* the structure"):
        call({"head": fresh["head"]})
    with pytest.raises(ValueError, match=r"'head/kernel' has the shape \(2, 1\), not"):
        call(fresh | {"head": {"kernel": jnp.ones((2, 1))}})
    with pytest.raises(ValueError, match="mask does not fit the parameters"):
        call(fresh, {"head": True})


def test_wrong_use(params: Any, fresh: Any) -> None:
    for factors in ((-0.1, 0.5), (0.5, -0.1), ("a", 0.5), (0.5, jnp.ones(2))):
        with pytest.raises(ValueError, match=r"(shrink|perturb)=.*: must be a number"):
            shrink_and_perturb(params, fresh, *factors)
    with pytest.raises(ValueError, match=r"tx=.*: must be an optax"):
        reset_leaves(optax.adam, params, None, fresh)  # type: ignore[arg-type]
