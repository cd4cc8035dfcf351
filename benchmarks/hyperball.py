"""Hyperball beside its usual formulation: drift, time, temporaries, sharded norms.

    python -m benchmarks.hyperball

The usual formulation stores no radius. At each update it measures the norm of the
weights, scales the direction to it, and scales the weights back to it, leaf by leaf.
With Adam's direction that is AdamH, with Muon's MuonH.

**Drift.** This is the norm of one matrix after 10,000 updates of random gradients,
relative to its initial norm, in float32 and bfloat16.

**Time and temporaries.** These are of one jitted update with donated parameters and
state, with XLA's default options. All variants take turns, step by step. A ratio to
Adam is the median of the ratios of each turn, because the machine may have other work.

**Sharded norms.** One update on 8 devices (of the CPU) is compared with one on a single
device, with matrices sharded by rows, by columns or not at all. It runs under `jax.jit`
and under `shard_map`. In the latter `jnp.linalg.norm` sees only a shard, and a sum over
all devices counts replicated matrices eight times.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec

import nap_optax
from benchmarks.options import Parser, count
from benchmarks.projection import Run
from experiments.harness import command_line, memory

RATE = 1e-3
# In bfloat16, rounding loses steps of a thousandth of a weight.
DRIFT_RATE = 1e-2
NUM_LEAVES = 12
NUM_DEVICES = 8
DTYPES = (jnp.float32, jnp.bfloat16)


def usual(
    inner: optax.GradientTransformation,
    rate: float,
    norm: Callable[[jax.Array], jax.Array] | None = None,
) -> optax.GradientTransformation:
    """Makes AdamH from `optax.scale_by_adam` or MuonH from Muon, without a radius."""

    def linalg_norm(leaf: jax.Array) -> jax.Array:
        return jnp.linalg.norm(leaf)

    measure = norm or linalg_norm

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        directions, state = inner.update(grads, state, params)

        def one(weight: jax.Array, direction: jax.Array) -> jax.Array:
            radius = measure(weight)
            scale = rate * radius / jnp.maximum(measure(direction), 1e-10)
            moved = weight - scale * direction
            return moved / jnp.maximum(measure(moved), 1e-10) * radius - weight

        return jax.tree.map(one, params, directions), state

    return optax.GradientTransformation(inner.init, update)


def muon() -> optax.GradientTransformation:
    """Muon's direction, with named dimensions, which trees need."""

    def dimensions(params: Any) -> Any:
        return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(), params)

    return optax.contrib.scale_by_muon(weight_dimension_numbers=dimensions)


def drift(num_updates: int, side: int) -> None:
    """Prints how far norms are from their initial values."""
    print(f"\nnorm after {num_updates} updates, over the first, less 1")
    ours = nap_optax.hyperball
    variants: dict[str, optax.GradientTransformation] = {
        "AdamH, usual": usual(optax.scale_by_adam(), DRIFT_RATE),
        "AdamH, hyperball": ours(optax.scale_by_adam(), DRIFT_RATE),
        "MuonH, usual": usual(muon(), DRIFT_RATE),
        "MuonH, hyperball": ours(muon(), DRIFT_RATE),
    }
    for dtype in DTYPES:
        for name, tx in variants.items():
            change = float(_norm_change(tx, dtype, num_updates, side))
            print(f"{name:24}{jnp.dtype(dtype).name:10}{change:+12.1e}", flush=True)


def _norm_change(
    tx: optax.GradientTransformation, dtype: Any, num_updates: int, side: int
) -> jax.Array:
    def norm(weights: Any) -> jax.Array:
        return jnp.linalg.norm(weights["w"].astype(jnp.float32))

    @jax.jit
    def train(params: Any) -> jax.Array:
        def one(carry: Any, step: jax.Array) -> Any:
            params, state = carry
            key = jax.random.fold_in(jax.random.key(1), step)
            grads = {"w": jax.random.normal(key, (side, side), dtype)}
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        carry = params, tx.init(params)
        (end, _), _ = jax.lax.scan(one, carry, jnp.arange(num_updates))
        return norm(end) / norm(params) - 1

    return train({"w": jax.random.normal(jax.random.key(0), (side, side), dtype)})


def updates() -> dict[str, optax.GradientTransformation]:
    """The transformations to time."""
    adam = optax.scale_by_adam()
    nap = nap_optax.nap(adam, RATE)
    hyperball = nap_optax.hyperball(adam, RATE)
    every = nap_optax.nap(adam, RATE, every=16)
    return {
        "adam": optax.adam(RATE),
        "usual hyperball": usual(adam, RATE),
        "hyperball": hyperball,
        "hyperball, leaf by leaf": nap_optax.leaf_by_leaf(hyperball),
        "nap": nap,
        "nap, leaf by leaf": nap_optax.leaf_by_leaf(nap),
        "nap(every=16)": every,
        "nap(every=16), leaf by leaf": nap_optax.leaf_by_leaf(every),
    }


def cost(side: int, turns: int) -> None:
    """Prints time and temporaries of an update of 12 square matrices."""
    for dtype in DTYPES:
        millions = NUM_LEAVES * side * side / 1e6
        title = f"{millions:.3g} M parameters, {jnp.dtype(dtype).name}"
        print(f"\n{title:32}{'median':>11}{'over Adam':>12}{'temporaries':>16}")
        # Only one variant's arrays at a time beside Adam's, to save memory.
        keys = jax.random.split(jax.random.key(0), NUM_LEAVES)
        draw = functools.partial(jax.random.normal, shape=(side, side), dtype=dtype)
        params = [draw(key) for key in keys]
        grads = [draw(key) for key in jax.random.split(jax.random.key(1), NUM_LEAVES)]
        variants = updates()
        adam = Run(variants["adam"], params, grads)
        for name, tx in variants.items():
            run = Run(tx, params, grads)
            pairs = [(run.timed_step(), adam.timed_step()) for _ in range(turns + 1)]
            pairs = pairs[1:]  # the first warms caches and the allocator
            print(
                f"{name:32}{1e3 * statistics.median(a for a, _ in pairs):8.1f} ms"
                f"{statistics.median(a / b for a, b in pairs):10.2f} x"
                f"{run.temporary_leaves:10.2f} leaves",
                flush=True,
            )
            del run


def sharded_norms(side: int) -> None:
    """Prints how far updates and radii on 8 devices are from those on one."""
    mesh = jax.make_mesh((NUM_DEVICES,), ("devices",))
    specs = {
        "by rows": PartitionSpec("devices"),
        "by columns": PartitionSpec(None, "devices"),
        "replicated": PartitionSpec(),
    }
    keys = jax.random.split(jax.random.key(0), 2 * len(specs))
    params, grads = (
        {
            n: jax.random.normal(k, (side, side))
            for n, k in zip(specs, part, strict=True)
        }
        for part in (keys[: len(specs)], keys[len(specs) :])
    )

    def stateless(tx: Any) -> Callable[[Any, Any], Any]:
        return lambda p, g: optax.apply_updates(p, tx.update(g, tx.init(p), p)[0])

    def place(tree: Any) -> Any:
        return {
            n: jax.device_put(x, NamedSharding(mesh, specs[n])) for n, x in tree.items()
        }

    def over_devices(leaf: jax.Array) -> jax.Array:
        return jnp.sqrt(jax.lax.psum(jnp.sum(leaf * leaf), "devices"))

    def mapped(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        # Without the check, because values differ between devices on purpose.
        return jax.shard_map(
            step,
            mesh=mesh,
            in_specs=(specs, specs),
            out_specs=specs,
            check_vma=False,
        )

    direction, rate = optax.identity(), 0.5
    peer = usual(direction, rate)
    want = jax.jit(stateless(peer))(params, grads)
    ours = nap_optax.hyperball(direction, rate)
    variants = {
        "hyperball, jit": stateless(ours),
        "usual, jit": stateless(peer),
        "hyperball, shard_map": mapped(stateless(ours)),
        "usual, shard_map": mapped(stateless(peer)),
        "usual, shard_map, psum": mapped(
            stateless(usual(direction, rate, over_devices))
        ),
    }

    def show(title: str, rows: dict[str, dict[str, float]]) -> None:
        print(f"\n{title:32}" + "".join(f"{n:>14}" for n in specs))
        for name, row in rows.items():
            print(f"{name:32}" + "".join(f"{row[n]:14.2g}" for n in specs))

    def relative_errors(step: Callable[[Any, Any], Any]) -> dict[str, float]:
        got = jax.device_get(jax.jit(step)(place(params), place(grads)))
        return {
            n: float(jnp.linalg.norm(got[n] - want[n]) / jnp.linalg.norm(want[n]))
            for n in specs
        }

    def norms(measure: Callable[[jax.Array], jax.Array]) -> dict[str, float]:
        def spread(weights: Any, _: Any) -> Any:
            return jax.tree.map(lambda w: jnp.full_like(w, measure(w)), weights)

        got = jax.device_get(jax.jit(mapped(spread))(place(params), place(grads)))
        return {n: float(got[n][0, 0] / jnp.linalg.norm(params[n])) for n in specs}

    show(
        "relative error of new weights",
        {n: relative_errors(v) for n, v in variants.items()},
    )
    radii = jax.device_get(jax.jit(ours.init)(place(params)))
    held = optax.tree.get(radii, "target_norm")
    show(
        "norm over the true norm",
        {
            "hyperball's radius, jit": {
                n: float(held[n] / jnp.linalg.norm(params[n])) for n in specs
            },
            "jnp.linalg.norm, shard_map": norms(jnp.linalg.norm),
            "psum of squares, shard_map": norms(over_devices),
        },
    )


def _in_a_process_of_8_devices(side: int) -> None:
    # The number of devices is fixed once JAX has started.
    flag = f"--xla_force_host_platform_device_count={NUM_DEVICES}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.hyperball", f"--sharded={side}"],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        check=True,
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.hyperball", __doc__)
    parser.add_argument(
        "--updates", type=count(), default=10_000, help="updates of the drift"
    )
    parser.add_argument(
        "--drift-side", type=count(8192), default=64, help="rows of the drift's matrix"
    )
    parser.add_argument(
        "--sides",
        type=count(32_768),
        nargs="*",
        default=[2048, 4096],
        help="rows of the 12 timed matrices (50 and 200 million parameters)",
    )
    parser.add_argument(
        "--turns", type=count(), default=15, help="updates of each timed variant"
    )
    parser.add_argument("--sharded", type=count(8192), help=argparse.SUPPRESS)
    args = parser.parsed(argv)
    if args.sharded:
        sharded_norms(args.sharded)
        return
    for side in args.sides:
        # Parameters, gradients and two moments of 12 matrices in float32.
        memory.require(memory.Needs(member=4 * 4 * 12 * side**2))
    versions = {"jax": jax.__version__, "optax": optax.__version__}
    print(
        f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores {json.dumps(versions)}"
    )
    drift(args.updates, args.drift_side)
    for side in args.sides:
        cost(side, args.turns)
    _in_a_process_of_8_devices(args.drift_side)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
