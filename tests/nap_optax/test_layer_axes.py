"""Layers that are stacked into one leaf count as if each had leaves of its own."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers.contract_cases import relaxed_adam
from nap_optax import masks

NUM_LAYERS, WIDTH = 3, 4
LAYERS, HEAD = "layers", "head"
AXES = masks.by_path([("layers/.*", 0), (".*", ())])

# Each public transformation as a function of its options for layers.
TRANSFORMATIONS: dict[str, Callable[..., Any]] = {
    "project_weights": nap_optax.project_weights,
    "project_weights, unit": functools.partial(
        nap_optax.project_weights, granularity="unit"
    ),
    "project_weights, rows": functools.partial(
        nap_optax.project_weights,
        granularity=masks.by_path([(".*kernel", (-1,)), (".*", "leaf")]),
    ),
    "project_weights, groups": functools.partial(
        nap_optax.project_weights, groups=masks.siblings(".*norm/.*")
    ),
    "project_weights, every": functools.partial(nap_optax.project_weights, every=2),
    "project_weights, radius": functools.partial(nap_optax.project_weights, 2.0),
    "nap": lambda **options: nap_optax.nap(
        relaxed_adam(),
        nap_optax.schedules.warmup_constant(0.1, warmup_steps=2),
        scale_decay=1.0,
        **options,
    ),
    "hold_elr": functools.partial(nap_optax.hold_elr, 2.0),
    "limit_elr": functools.partial(nap_optax.limit_elr, 0.1),
    "clip_weights": functools.partial(nap_optax.clip_weights, 0.5),
    "clip_weights, biases": functools.partial(
        nap_optax.clip_weights,
        0.5,
        mask=masks.by_path([(".*norm/.*", False), (".*", True)]),
    ),
    "spectral_regularization": functools.partial(
        nap_optax.spectral_regularization, 0.1
    ),
    "even_ratio": nap_optax.even_ratio,
    "even_ratio, all": functools.partial(nap_optax.even_ratio, mask=True),
    "measure_elr": nap_optax.measure_elr,
    "hyperball": lambda **options: nap_optax.hyperball(relaxed_adam(), 0.1, **options),
    # What looks at no shape: the same without the option.
    "l2_init": lambda **_: nap_optax.l2_init(0.3),
    "decay_scales": lambda **_: nap_optax.decay_scales(0.3),
    "scale_by_layer": lambda **_: nap_optax.scale_by_layer(
        masks.by_path([(".*kernel", 0.5), (".*", 2.0)])
    ),
    "fast_features": lambda **_: nap_optax.fast_features(
        masks.by_path([("head/.*", True), (".*", False)])
    ),
    "restart": lambda **_: nap_optax.restart(relaxed_adam()),
    "scale_by_rewarming": lambda **_: nap_optax.scale_by_rewarming(
        optax.constant_schedule(0.1)
    ),
}
# Those that `update` must be told the axes, as it does not find them in its state.
STATELESS = {
    "limit_elr",
    "clip_weights",
    "clip_weights, biases",
    "spectral_regularization",
    "even_ratio",
    "even_ratio, all",
}

every_transformation = pytest.mark.parametrize("name", TRANSFORMATIONS)
# One with a state of its own, and one that must be told; others ask in the same way.
SOME = {"project_weights", "limit_elr"}
some_transformations = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SOME else pytest.mark.thorough)
        for name in TRANSFORMATIONS
    ],
)


def one_layer(draw: Callable[..., np.ndarray]) -> dict[str, Any]:
    def of(*shape: int) -> jax.Array:
        return jnp.asarray(draw(size=shape), jnp.float32)

    return {
        "dense": {"bias": of(WIDTH), "kernel": of(WIDTH, WIDTH)},
        "norm": {"bias": of(WIDTH), "scale": of(WIDTH)},
    }


def unrolled(seed: int) -> dict[str, Any]:
    """Layers of sizes of their own, and a layer that is in no stack."""
    draw = np.random.default_rng(seed).normal
    layers = {
        str(i): jax.tree.map(lambda leaf, i=i: (1 + i) * leaf, one_layer(draw))
        for i in range(NUM_LAYERS)
    }
    kernel = jnp.asarray(draw(size=(WIDTH, 2)), jnp.float32)
    return {LAYERS: layers, HEAD: {"kernel": kernel}}


def stacked(tree: Any, axis: int = 0) -> Any:
    layers = [tree[LAYERS][str(i)] for i in range(NUM_LAYERS)]
    return tree | {LAYERS: jax.tree.map(lambda *leaf: jnp.stack(leaf, axis), *layers)}


def train(tx: Any, params: Any, grads: list[Any]) -> Any:
    state = tx.init(params)
    update = jax.jit(functools.partial(tx.update, value=1.0, rewarm=False))
    for grad in grads:
        updates, state = update(grad, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params


@functools.cache
def expected(name: str) -> Any:
    """What becomes of layers that are not stacked."""
    return train(TRANSFORMATIONS[name](), unrolled(0), [unrolled(1), unrolled(2)])


def assert_same(got: Any, name: str, axis: int = 0) -> None:
    got = {LAYERS: got[LAYERS], HEAD: got[HEAD]}
    want = stacked(expected(name), axis)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), got, want
    )


# Plain trees.


@pytest.mark.slow
@every_transformation
def test_stacked_layers_equal_unrolled_ones(name: str) -> None:
    check_axis(name, 0)


@some_transformations
def test_layers_may_be_stacked_along_another_axis(name: str) -> None:
    check_axis(name, 1)


def check_axis(name: str, axis: int) -> None:
    axes = masks.by_path([("layers/.*", axis), (".*", ())])
    tx = TRANSFORMATIONS[name](layer_axes=axes)
    params, *grads = (stacked(unrolled(seed), axis) for seed in range(3))
    assert_same(train(tx, params, grads), name, axis)


def test_without_the_option_a_stack_is_one_leaf_but_scales_are_not_projected() -> None:
    params, grad = stacked(unrolled(0)), stacked(unrolled(1))
    tx = nap_optax.project_weights()
    with pytest.warns(UserWarning, match=r"'layers/dense/bias' \(3, 4\).*layer_axes"):
        state = tx.init(params)
    got = jax.tree.map(jnp.add, params, tx.update(grad, state, params)[0])
    free = jax.tree.map(jnp.add, params, grad)
    for part, leaf in (("norm", "scale"), ("norm", "bias"), ("dense", "bias")):
        np.testing.assert_array_equal(got[LAYERS][part][leaf], free[LAYERS][part][leaf])
    kernel = got[LAYERS]["dense"]["kernel"]
    np.testing.assert_allclose(
        jnp.linalg.norm(kernel),
        jnp.linalg.norm(params[LAYERS]["dense"]["kernel"]),
        rtol=1e-6,
    )


def test_the_bias_of_each_head_of_an_attention_is_not_warned_of() -> None:
    attention = {"bias": jnp.ones((2, 3)), "kernel": jnp.ones((4, 2, 3))}
    with warnings.catch_warnings(record=True) as caught:
        nap_optax.project_weights().init({"query": attention})
    assert caught == []


def test_a_warning_points_at_the_line_of_the_caller() -> None:
    train_state = pytest.importorskip("flax.training.train_state")
    tx = nap_optax.project_weights()
    with pytest.warns(UserWarning, match="layer_axes") as caught:
        train_state.TrainState.create(
            apply_fn=None, params=stacked(unrolled(0)), tx=optax.chain(tx)
        )
    assert caught[0].filename == __file__


@pytest.mark.parametrize("layer_axes", [(), AXES], ids=["none", "given"])
def test_who_says_which_axes_is_not_warned(layer_axes: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        nap_optax.project_weights(layer_axes=layer_axes).init(stacked(unrolled(0)))
    assert caught == []


@pytest.mark.parametrize("ask", [True, AXES], ids=["stack", "layers"])
def test_scales_are_projected_when_asked(ask: Any) -> None:
    params = stacked(unrolled(0))
    axes = () if ask is True else ask
    state = nap_optax.project_weights(mask=True, layer_axes=axes).init(params)
    norm = state.target_norm[LAYERS]["norm"]["scale"]
    scale = params[LAYERS]["norm"]["scale"]
    if ask is True:
        np.testing.assert_allclose(norm, jnp.linalg.norm(scale), rtol=1e-6)
    else:
        want = jnp.linalg.norm(scale, axis=1, keepdims=True)
        np.testing.assert_allclose(norm, want, rtol=1e-6)


def test_a_measured_rate_has_one_number_for_each_layer() -> None:
    params, grad = stacked(unrolled(0)), stacked(unrolled(1))
    got = nap_optax.effective_learning_rate(grad, params, layer_axes=AXES)
    want = nap_optax.effective_learning_rate(unrolled(1), unrolled(0))
    rates = got[LAYERS]["dense"]["kernel"]
    assert rates.shape == (NUM_LAYERS, 1, 1)
    for i in range(NUM_LAYERS):
        np.testing.assert_allclose(
            rates[i, 0, 0], want[LAYERS][str(i)]["dense"]["kernel"], rtol=1e-6
        )
    nominal = nap_optax.nominal_effective_learning_rate(0.1, params, layer_axes=AXES)
    assert nominal[LAYERS]["dense"]["kernel"].shape == (NUM_LAYERS, 1, 1)


@pytest.mark.parametrize("axes", ["rows", 3, -4, True, 0.0])
def test_axes_that_a_leaf_does_not_have_are_refused(axes: Any) -> None:
    with pytest.raises(ValueError, match=r"layer_axes=.*: must be one of its axes"):
        nap_optax.project_weights(layer_axes=axes).init(jnp.ones((2, 2, 2)))


def test_a_granularity_that_names_a_layer_axis_is_refused() -> None:
    tx = nap_optax.project_weights(granularity=(0, 1), layer_axes=0)
    with pytest.raises(ValueError, match=r"of which \(0,\) enumerate layers"):
        tx.init(jnp.ones((2, 2, 2)))


def test_a_group_has_as_many_layers_in_each_member() -> None:
    tx = nap_optax.project_weights(groups="all", layer_axes=AXES)
    with pytest.raises(ValueError, match="are not stacks of as many layers"):
        tx.init(stacked(unrolled(0)))


def test_under_inject_hyperparams_the_error_says_what_to_write() -> None:
    tx = optax.inject_hyperparams(nap_optax.hold_elr)(layer_axes=0)
    with pytest.raises(ValueError, match=r'static_args=\("layer_axes",\)'):
        tx.init(jnp.ones((2, 2, 2)))


# What Flax says.


def boxed(tree: Any, nn: Any) -> Any:
    """Linen's boxes around a stack, as `nn.scan` with metadata leaves them."""
    layers = jax.tree.map(
        lambda leaf: nn.Partitioned(leaf, names=(LAYERS,) + (None,) * (leaf.ndim - 1)),
        tree[LAYERS],
    )
    return {"params": tree | {LAYERS: layers}}


def test_scanned_linen_layers_are_boxed_like_that() -> None:
    nn = pytest.importorskip("flax.linen")
    partitioned = functools.partial(nn.with_partitioning, names=(None,))

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x: Any, _: Any) -> Any:
            kernel = nn.with_partitioning(nn.initializers.ones, (None, None))
            x = nn.LayerNorm(
                name="norm",
                scale_init=partitioned(nn.initializers.ones),
                bias_init=partitioned(nn.initializers.zeros),
            )(x)
            bias = partitioned(nn.initializers.zeros)
            return nn.Dense(4, name="dense", kernel_init=kernel, bias_init=bias)(x), _

    scan = nn.scan(
        Layer,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        length=NUM_LAYERS,
        metadata_params={nn.PARTITION_NAME: LAYERS},
    )
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        made = scan().init(jax.random.key(0), jnp.ones((1, WIDTH)), None)
    ours = {"params": boxed(stacked(unrolled(0)), nn)["params"][LAYERS]}
    assert jax.tree.structure(made) == jax.tree.structure(ours)
    assert masks.axes_named(LAYERS)(made) == {
        "params": {
            "dense": {"bias": (0,), "kernel": (0,)},
            "norm": {"bias": (0,), "scale": (0,)},
        }
    }


@some_transformations
def test_linen_says_which_axes(name: str) -> None:
    nn = pytest.importorskip("flax.linen")
    params, *grads = (boxed(stacked(unrolled(seed)), nn) for seed in range(3))
    got = train(TRANSFORMATIONS[name](), params, grads)
    assert jax.tree.structure(got) == jax.tree.structure(params)
    assert_same(nn.unbox(got)["params"], name)


def stacked_module(nnx: Any) -> Any:
    """A stack by `nnx.vmap` that knows its axes, with the values of `stacked`."""
    partitioned = functools.partial(nnx.with_partitioning, sharding=(None,))
    kernel_init = nnx.with_partitioning(nnx.initializers.ones, (None, None))

    class Layer(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.dense = nnx.Linear(
                WIDTH,
                WIDTH,
                kernel_init=kernel_init,
                bias_init=partitioned(nnx.initializers.zeros),
                rngs=rngs,
            )
            self.norm = nnx.LayerNorm(
                WIDTH,
                scale_init=partitioned(nnx.initializers.ones),
                bias_init=partitioned(nnx.initializers.zeros),
                rngs=rngs,
            )

    class Net(nnx.Module):
        def __init__(self) -> None:
            make = nnx.vmap(Layer, transform_metadata={nnx.PARTITION_NAME: LAYERS})
            self.layers = nnx.split_rngs(splits=NUM_LAYERS)(make)(nnx.Rngs(0))
            self.head = nnx.Linear(WIDTH, 2, use_bias=False, rngs=nnx.Rngs(0))

    net = Net()
    state = nnx.state(net, nnx.Param)
    values = jax.tree.leaves(stacked(unrolled(0)))
    nnx.update(net, jax.tree.unflatten(jax.tree.structure(state), values))
    return net


@pytest.fixture
def one_device_mesh() -> Any:
    """NNX wants a mesh that knows the names."""
    if not hasattr(jax, "set_mesh"):
        pytest.skip("this version of jax has no set_mesh")
    auto = (jax.sharding.AxisType.Auto,)
    with jax.set_mesh(jax.make_mesh((1,), (LAYERS,), axis_types=auto)):
        yield


@pytest.mark.slow
@some_transformations
def test_nnx_says_which_axes(name: str, one_device_mesh: Any) -> None:
    nnx = pytest.importorskip("flax.nnx")
    net = stacked_module(nnx)
    state = nnx.state(net, nnx.Param)
    options = {}
    if name in STATELESS:
        with pytest.raises(ValueError, match=r"nnx\.Optimizer does not pass that on"):
            nnx.Optimizer(net, TRANSFORMATIONS[name](), wrt=nnx.Param)
        options = {"layer_axes": masks.axes_named(LAYERS)(state)}
    optimizer = nnx.Optimizer(net, TRANSFORMATIONS[name](**options), wrt=nnx.Param)
    for seed in (1, 2):
        leaves = jax.tree.leaves(stacked(unrolled(seed)))
        grads = jax.tree.unflatten(jax.tree.structure(state), leaves)
        optimizer.update(net, grads, value=1.0, rewarm=False)
    assert_same(nnx.to_pure_dict(nnx.state(net, nnx.Param)), name)


@pytest.mark.slow
def test_gradients_through_an_nnx_scan_fit(one_device_mesh: Any) -> None:
    nnx = pytest.importorskip("flax.nnx")
    net = stacked_module(nnx)

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def forward(x: Any, layer: Any) -> Any:
        return layer.norm(layer.dense(x))

    def loss(net: Any) -> Any:
        x = forward(jnp.ones((2, WIDTH)), net.layers)
        return jnp.mean(net.head(x) ** 2)

    before = nnx.to_pure_dict(nnx.state(net, nnx.Param))
    tx = optax.chain(optax.sgd(0.1), nap_optax.project_weights())
    optimizer = nnx.Optimizer(net, tx, wrt=nnx.Param)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        optimizer.update(net, nnx.grad(loss)(net))
    after = nnx.to_pure_dict(nnx.state(net, nnx.Param))
    norms = [
        jnp.linalg.norm(tree[LAYERS]["dense"]["kernel"], axis=(1, 2))
        for tree in (before, after)
    ]
    np.testing.assert_allclose(*norms, rtol=1e-5)
    assert not np.allclose(
        before[LAYERS]["dense"]["kernel"], after[LAYERS]["dense"]["kernel"]
    )
