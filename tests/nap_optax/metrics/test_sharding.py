"""Features sharded over a mesh, whose axes are the compiler's or are explicit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from nap_optax import metrics

pytestmark = pytest.mark.slow

needs_explicit_axes = pytest.mark.skipif(
    not hasattr(jax, "set_mesh"), reason="this jax has no meshes of explicit axes"
)

KINDS = ("Auto", "Explicit")
METRICS: dict[str, Callable[[Any, Any], jax.Array]] = {
    "effective_rank": lambda a, _: metrics.effective_rank(a),
    "stable_rank": lambda a, _: metrics.stable_rank(a),
    "feature_covariance_change": metrics.feature_covariance_change,
    "activation_pattern_change": metrics.activation_pattern_change,
    "pattern_norm": lambda a, b: metrics.activation_pattern_change(
        a, b, norm="frobenius"
    ),
    "dormant_fraction": lambda a, _: metrics.dormant_fraction(a, 0.9),
    "attention_entropy": lambda a, _: metrics.attention_entropy(jnp.square(a)),
}


def features() -> tuple[jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (16, 8)) for key in keys)
    return a, b


def all_metrics(a: Any, b: Any) -> dict[str, jax.Array]:
    return {name: metric(a, b) for name, metric in METRICS.items()}


def layouts() -> dict[str, tuple[Any, Any, Any]]:
    """Meshes, and how two arrays of features are sharded over them."""
    num = jax.device_count()
    sizes = (num // 2, 2) if num > 1 else (1, 1)
    auto, explicit = (getattr(jax.sharding.AxisType, kind) for kind in KINDS)
    line = jax.make_mesh((num,), ("x",), axis_types=(explicit,))
    planes = {
        kinds: jax.make_mesh(sizes, ("x", "y"), axis_types=kinds)
        for kinds in ((auto, auto), (explicit, explicit), (explicit, auto))
    }
    plane = planes[explicit, explicit]
    return {
        "auto": (planes[auto, auto], P("x", "y"), P("x", "y")),
        "mixed": (planes[explicit, auto], P("x", "y"), P("x", "y")),
        "examples": (line, P("x"), P("x")),
        "units": (line, P(None, "x"), P(None, "x")),
        "both": (plane, P("x", "y"), P("x", "y")),
        "one_by_two": (plane, P(("x", "y"), None), P(("x", "y"), None)),
        "differently": (plane, P("x"), P(None, "y")),
        "one_only": (line, P(), P("x")),
    }


def placed(mesh: Any, *specs: Any) -> list[jax.Array]:
    return [
        jax.device_put(array, NamedSharding(mesh, spec))
        for array, spec in zip(features(), specs, strict=True)
    ]


def differences(*names: str) -> dict[str, float]:
    """How far each metric is from that of features that are not sharded."""
    found = {}
    want = all_metrics(*features())
    for layout in names or layouts():
        mesh, *specs = layouts()[layout]
        arrays = placed(mesh, *specs)
        contexts = {"in_mesh": jax.set_mesh(mesh), "": contextlib.nullcontext()}
        for where, context in contexts.items():
            with context:
                for how, call in (
                    ("eager", all_metrics),
                    ("jit", jax.jit(all_metrics)),
                ):
                    got = call(*arrays)
                    for name in METRICS:
                        key = f"{name}-{layout}-{how}-{where}"
                        found[key] = furthest(got[name], want[name])
    return found


def furthest(got: Any, want: Any) -> float:
    """The largest difference, over the largest value."""
    got, want = np.asarray(got), np.asarray(want)
    return float(np.max(np.abs(got - want)) / np.max(np.abs(want)))


def gradients() -> dict[str, float]:
    """The same of the gradients of all metrics together."""

    def total(a: Any, b: Any) -> jax.Array:
        return sum(all_metrics(a, b).values(), start=jnp.zeros([]))

    found = {}
    gradient = jax.jit(jax.grad(total, argnums=(0, 1)))
    want = gradient(*features())
    for layout, (mesh, *specs) in layouts().items():
        with jax.set_mesh(mesh):
            got = gradient(*placed(mesh, *specs))
        found[layout] = max(map(furthest, got, want))
    return found


def batches() -> dict[str, float]:
    """Of several layers at once, by ``vmap``, with the layers sharded."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    many = [jnp.stack([array * (i + 1) for i in range(8)]) for array in features()]
    arrays = [jax.device_put(array, NamedSharding(mesh, P("x"))) for array in many]
    want = jax.vmap(all_metrics)(*many)
    with jax.set_mesh(mesh):
        got = jax.jit(jax.vmap(all_metrics))(*arrays)
    return {name: furthest(got[name], want[name]) for name in METRICS}


@pytest.fixture(scope="module")
def on_8_devices(call_on_8_devices: Callable[[str, str], Any]) -> Any:
    return lambda function: call_on_8_devices(__file__, function.__name__)


@needs_explicit_axes
@pytest.mark.thorough
def test_sharded_features_on_8_devices(on_8_devices: Any) -> None:
    found = on_8_devices(differences)
    assert len(found) == len(METRICS) * 8 * 4
    assert {name: d for name, d in found.items() if not d < 1e-5} == {}


@needs_explicit_axes
def test_sharded_features_on_one_device() -> None:
    found = differences("both")
    assert {name: d for name, d in found.items() if not d < 1e-5} == {}


@needs_explicit_axes
@pytest.mark.thorough
def test_gradients_on_8_devices(on_8_devices: Any) -> None:
    found = on_8_devices(gradients)
    assert {name: d for name, d in found.items() if not d < 1e-5} == {}


@needs_explicit_axes
@pytest.mark.slow
def test_sharded_batches_on_8_devices(on_8_devices: Any) -> None:
    assert {n: d for n, d in on_8_devices(batches).items() if not d < 1e-5} == {}


@needs_explicit_axes
def test_what_is_not_sharded_in_an_explicit_mesh() -> None:
    explicit = (jax.sharding.AxisType.Explicit,)
    for metric in METRICS.values():
        a, b = features()
        want = metric(a, b)
        with jax.set_mesh(jax.make_mesh((1,), ("x",), axis_types=explicit)):
            for pair in ((a, b), (np.asarray(a), np.asarray(b)), (a, np.asarray(b))):
                np.testing.assert_allclose(metric(*pair), want, rtol=1e-6)
