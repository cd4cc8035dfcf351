"""The device's limits: the rates of a large product and a large copy."""

import jax.numpy as jnp

from benchmarks.accelerator.figures import Figures, digits
from benchmarks.machine import matmul_flops, matmul_seconds, memory_bandwidth

PRODUCTS = {
    "float32, highest precision": (jnp.float32, "highest"),
    "float32, default precision": (jnp.float32, None),
    "bfloat16": (jnp.bfloat16, None),
}


def ceilings(small: bool) -> Figures:
    """Measures TFLOP/s of a square product and GB/s of a copy."""
    side = 512 if small else 8192
    shape = (side, side, side)
    found: Figures = {}
    for name, (dtype, precision) in PRODUCTS.items():
        seconds = min(matmul_seconds(shape, dtype=dtype, precision=precision))
        found[f"product, {name}, TFLOP/s"] = digits(
            matmul_flops(shape) / seconds / 1e12
        )
    bandwidth = memory_bandwidth(1 << (22 if small else 30))
    found["copy, GB/s"] = digits(bandwidth / 1e9)
    return found
