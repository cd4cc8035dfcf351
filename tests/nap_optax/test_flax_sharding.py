"""Parameters that Flax keeps together with their sharding, as large trainers do.

A value of another shape than its parameter, such as a norm, must not be sharded like
the parameter: by NNX's metadata, by Linen's boxes, or by `optax.tree.map_params`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import nap_optax
from helpers.contract_cases import relaxed_adam, standard_promotion
from helpers.selection import selected

pytestmark = pytest.mark.slow

pytest.importorskip("flax")
if not hasattr(jax, "set_mesh"):
    pytest.skip("this version of jax has no set_mesh", allow_module_level=True)

WIDTH = 8
# Every transformation that has a state of its own, and those without, in few programs.
CHAINS: dict[str, Callable[[], Any]] = {
    "chain": lambda: optax.chain(
        nap_optax.restart(relaxed_adam()),
        nap_optax.l2_init(0.1),
        nap_optax.spectral_regularization(0.001),
        nap_optax.decay_scales(0.1),
        nap_optax.even_ratio(),
        nap_optax.hold_elr(),
        nap_optax.scale_by_rewarming(optax.constant_schedule(0.1), nap_optax.cusum()),
        nap_optax.limit_elr(0.1),
        nap_optax.clip_weights(2.0),
        nap_optax.project_weights(),
        nap_optax.measure_elr(),
    ),
    "units": lambda: optax.chain(
        relaxed_adam(), nap_optax.project_weights(granularity="unit", every=2)
    ),
    "groups": lambda: optax.chain(
        relaxed_adam(),
        nap_optax.project_weights(groups=nap_optax.masks.siblings("block/.*")),
    ),
    "hyperball": lambda: nap_optax.hyperball(relaxed_adam(), 0.1),
}
SPECS = {
    "block": {"bias": (None,), "kernel": (None, "model"), "scale": (None,)},
    "head": {"kernel": ("model", None)},
}


def make_tree(seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed).normal
    shapes = {
        "block": {"bias": (WIDTH,), "kernel": (WIDTH, WIDTH), "scale": (WIDTH,)},
        "head": {"kernel": (WIDTH, WIDTH)},
    }
    return jax.tree.map(
        lambda shape: jnp.asarray(draw(size=shape), jnp.float32),
        shapes,
        is_leaf=is_leaf,
    )


def is_leaf(node: Any) -> bool:
    return isinstance(node, tuple)


def mesh_of(kind: str) -> Any:
    size = jax.device_count()
    axis_type = getattr(jax.sharding.AxisType, kind)
    return jax.make_mesh((size,), ("model",), axis_types=(axis_type,))


@functools.cache
def expected(name: str) -> Any:
    """The parameters after an update without any sharding."""
    tx = optax.with_extra_args_support(CHAINS[name]())
    params, grads = make_tree(0), make_tree(1)
    updates, _ = jax.jit(functools.partial(tx.update, value=1.0))(
        grads, tx.init(params), params
    )
    return jax.tree.map(jnp.add, params, updates)


def by_nnx(tx: Any, mesh: Any) -> Any:
    from flax import nnx

    class Part(nnx.Module):
        def __init__(self, leaves: Mapping[str, Any], specs: Any) -> None:
            for name, leaf in leaves.items():
                make = nnx.with_partitioning(lambda leaf=leaf: leaf, specs[name])
                setattr(self, name, nnx.Param(make()))

    class Net(nnx.Module):
        def __init__(self) -> None:
            tree = make_tree(0)
            self.block = Part(tree["block"], SPECS["block"])
            self.head = Part(tree["head"], SPECS["head"])

    net = Net()
    optimizer = nnx.Optimizer(net, tx, wrt=nnx.Param)
    structure = jax.tree.structure(nnx.state(net, nnx.Param))
    grads = jax.tree.unflatten(structure, jax.tree.leaves(make_tree(1)))

    @nnx.jit
    def step(net: Any, optimizer: Any, grads: Any) -> None:
        optimizer.update(net, grads, value=1.0)

    step(net, optimizer, grads)
    return nnx.to_pure_dict(nnx.state(net, nnx.Param))


def by_linen(tx: Any, mesh: Any) -> Any:
    from flax import linen as nn

    def boxed(tree: Any) -> Any:
        return jax.tree.map(
            lambda leaf, spec: nn.Partitioned(leaf, names=spec), tree, SPECS
        )

    def init() -> Any:
        params = boxed(make_tree(0))
        return params, tx.init(params)

    shardings = nn.get_sharding(jax.eval_shape(init), mesh)
    params, state = jax.jit(init, out_shardings=shardings)()

    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = tx.update(grads, state, params, value=1.0)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, out_shardings=shardings)
    params, _ = step(boxed(make_tree(1)), state, params)
    return nn.unbox(params)


def by_map_params(tx: Any, mesh: Any) -> Any:
    specs = jax.tree.map(
        lambda spec: NamedSharding(mesh, PartitionSpec(*spec)), SPECS, is_leaf=is_leaf
    )
    params = jax.device_put(make_tree(0), specs)
    state = tx.init(params)
    shardings = optax.tree.map_params(
        tx,
        lambda _, spec: spec,
        state,
        specs,
        transform_non_params=lambda _: NamedSharding(mesh, PartitionSpec()),
        is_leaf=lambda node: isinstance(node, optax.MaskedNode),
    )

    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = tx.update(grads, state, params, value=1.0)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, in_shardings=(specs, shardings, specs), donate_argnums=(1, 2))
    grads = jax.device_put(make_tree(1), specs)
    params, _ = step(grads, jax.device_put(state, shardings), params)
    return params


WAYS = {"nnx": by_nnx, "linen": by_linen, "map_params": by_map_params}
MESHES = ("Auto", "Explicit")


def failure(way: str, kind: str, name: str) -> str:
    """What goes wrong; the empty string if nothing does."""
    mesh = mesh_of(kind)
    try:
        with jax.set_mesh(mesh), standard_promotion():
            got = jax.device_get(
                WAYS[way](optax.with_extra_args_support(CHAINS[name]()), mesh)
            )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    want = jax.device_get(expected(name))
    differences = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), got, want)
    largest = max(jax.tree.leaves(differences))
    return "" if largest < 1e-5 else f"differs by {largest}"


def failures(*runs: str) -> dict[str, str]:
    """Runs in a process of 8 devices: see `on_8_devices`."""
    assert jax.device_count() == 8
    return {run: failure(*run.split()) for run in runs}


@pytest.fixture(scope="module")
def on_8_devices(
    request: pytest.FixtureRequest, call_on_8_devices: Callable[..., Any]
) -> Mapping[str, str]:
    """In one process; each program takes it a second or more."""
    chosen = selected(request, "test_on_8_devices")
    runs = [f"{params['way']} {params['kind']} {params['name']}" for params in chosen]
    return call_on_8_devices(__file__, failures.__name__, *runs)


# Every two of way, mesh and chain are in one of these.
ON_EIGHT = [
    ("nnx", "Auto", "chain"),
    ("nnx", "Explicit", "hyperball"),
    ("linen", "Auto", "hyperball"),
    ("linen", "Explicit", "chain"),
    ("map_params", "Auto", "chain"),
    ("map_params", "Explicit", "hyperball"),
]
ALL = list(itertools.product(WAYS, MESHES, CHAINS))


@pytest.mark.parametrize(
    ("way", "kind", "name"),
    [
        pytest.param(*run, marks=() if run in ON_EIGHT else pytest.mark.thorough)
        for run in ALL
        if run[2] in ("chain", "hyperball")
    ],
)
def test_on_8_devices(
    way: str, kind: str, name: str, on_8_devices: Mapping[str, str]
) -> None:
    assert on_8_devices[f"{way} {kind} {name}"] == ""


@pytest.mark.parametrize(
    ("way", "kind", "name"),
    [
        # The others are on 8 devices.
        pytest.param(
            *run, marks=() if run[2] in ("units", "groups") else pytest.mark.thorough
        )
        for run in ALL
    ],
)
def test_on_one_device(way: str, kind: str, name: str) -> None:
    assert failure(way, kind, name) == ""
