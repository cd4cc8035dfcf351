"""This machine's limits: float32 matrix products and memory bandwidth, with JAX.

    python -m benchmarks.machine

The other benchmarks divide by these figures, so their results are shares of a limit.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.options import Parser, count
from experiments.harness import command_line

MatmulShape = tuple[int, int, int]
"""(rows, contracted, columns) of one matrix product."""

DEFAULT_SHAPES: tuple[MatmulShape, ...] = (
    (2048, 2048, 2048),
    (4096, 512, 512),
    (2738, 128, 512),
    (2738, 512, 128),
)


def seconds(function: Callable[..., Any], *args: Any) -> float:
    """Seconds of one call, until its results are ready."""
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - start


def matmul_seconds(
    shape: MatmulShape,
    repeats: int = 20,
    *,
    dtype: Any = jnp.float32,
    precision: str | None = None,
) -> list[float]:
    """Seconds of each of `repeats` products of this shape, compiled before."""
    rows, contracted, columns = shape
    left = jax.random.normal(jax.random.key(0), (rows, contracted), dtype)
    right = jax.random.normal(jax.random.key(1), (contracted, columns), dtype)
    matmul = jax.jit(partial(jnp.matmul, precision=precision))
    seconds(matmul, left, right)
    return [seconds(matmul, left, right) for _ in range(repeats)]


def matmul_flops(shape: MatmulShape) -> int:
    """Floating-point operations of one product: one multiply and one add per term."""
    rows, contracted, columns = shape
    return 2 * rows * contracted * columns


def memory_bandwidth(num_floats: int = 1 << 26, repeats: int = 10) -> float:
    """Bytes per second, read and written, of x ← -x on an array larger than caches."""
    x = jnp.ones(num_floats, jnp.float32)
    # In place: a new buffer for each result would measure the system's page faults.
    negate = jax.jit(jnp.negative, donate_argnums=0)
    fastest = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        x = jax.block_until_ready(negate(x))
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * x.nbytes / fastest


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.machine", __doc__)
    parser.add_argument("--repeats", type=count(), default=20)
    repeats = parser.parsed(argv).repeats
    print(f"{jax.devices()[0].device_kind}, {jax.device_count()} device(s), float32")
    for shape in DEFAULT_SHAPES:
        times = matmul_seconds(shape, repeats)
        flops = matmul_flops(shape)
        label = " x ".join(map(str, shape))
        print(
            f"matmul {label:20} {flops / min(times) / 1e9:7.1f} GFLOP/s at best, "
            f"{flops / statistics.median(times) / 1e9:7.1f} in the median"
        )
    print(f"memory bandwidth {memory_bandwidth(repeats=repeats) / 1e9:17.1f} GB/s")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
