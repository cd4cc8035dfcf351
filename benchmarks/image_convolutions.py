"""The convolutions of ResNet-18, by XLA's two libraries on a CPU and as Winograd.

    taskset -c 0 python -m benchmarks.image_convolutions

For each shape the rate forward, for the kernel and for the inputs, with YNNPACK (what
XLA chooses) and with Eigen (`backend.convolution_options` of a wide network), and
forward by Winograd's F(4 x 4, 3 x 3), all its transforms as matrix products. The rates
are of a plain convolution's operations, so that Winograd's may exceed the processor's.
"""

import argparse
import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax

from benchmarks.convolutions import winograd
from experiments.harness.backend import WIDE, convolution_options
from experiments.harness.timing import seconds_in_turns

# Side, channels of the inputs and of the outputs.
SHAPES = ((32, 3, 64), (32, 4, 64), (32, 64, 64), (16, 128, 128), (8, 256, 256),
          (4, 512, 512))  # fmt: skip
SIZE = 3


def convolve(images: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def runs(
    batch: int, side: int, inputs: int, outputs: int
) -> dict[str, Callable[[], Any]]:
    """What is timed of one shape, compiled."""
    x = jax.random.normal(jax.random.key(0), (batch, side, side, inputs))
    w = jax.random.normal(jax.random.key(1), (SIZE, SIZE, inputs, outputs))
    g = jax.random.normal(jax.random.key(2), (batch, side, side, outputs))
    functions: dict[str, tuple[Callable[..., Any], tuple[jax.Array, jax.Array]]] = {
        "forward": (convolve, (x, w)),
        "kernel": (
            lambda x, g: jax.linear_transpose(lambda w: convolve(x, w), w)(g),
            (x, g),
        ),
        "inputs": (
            lambda w, g: jax.linear_transpose(lambda x: convolve(x, w), x)(g),
            (w, g),
        ),
    }
    eigen = convolution_options(WIDE)
    found: dict[str, Callable[[], Any]] = {}
    for name, (function, arguments) in functions.items():
        for library, options in (("YNNPACK", {}), ("Eigen", eigen)):
            compiled = jax.jit(function, compiler_options=options)
            found[f"{name}, {library}"] = functools.partial(compiled, *arguments)
    if inputs >= WIDE:
        compiled = jax.jit(winograd, compiler_options=eigen)
        found["forward, Winograd"] = functools.partial(compiled, x, w)
    for run in found.values():
        jax.block_until_ready(run())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    for side, inputs, outputs in SHAPES:
        flops = 2 * args.batch * side**2 * SIZE**2 * inputs * outputs
        times = seconds_in_turns(
            runs(args.batch, side, inputs, outputs), num_rounds=args.rounds
        )
        rates = ", ".join(
            f"{name} {flops / statistics.median(seconds) / 1e9:.0f}"
            for name, seconds in times.items()
        )
        print(f"{side} x {side}, {inputs} to {outputs}, GFLOP/s: {rates}", flush=True)


if __name__ == "__main__":
    main()
