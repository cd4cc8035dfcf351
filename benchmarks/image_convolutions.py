"""The image models' convolutions, by XLA's two libraries on a CPU and as Winograd.

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
from typing import Any, NamedTuple

import jax

from benchmarks.convolutions import winograd
from experiments.harness.backend import WIDE, convolution_options
from experiments.harness.timing import seconds_in_turns


class Shape(NamedTuple):
    """Of a convolution with `SAME` padding."""

    side: int
    inputs: int
    outputs: int
    size: int = 3
    stride: int = 1

    def __str__(self) -> str:
        return (
            f"{self.size} x {self.size} / {self.stride}, {self.inputs} to "
            f"{self.outputs} at {self.side} x {self.side}"
        )


SHAPES = (
    *(Shape(28, inputs, 32, 5, 2) for inputs in (1, 2)),
    *(Shape(32, inputs, 32, 5, 2) for inputs in (3, 4)),
    Shape(16, 32, 32, 3, 2),
    Shape(8, 32, 32),
    Shape(32, 3, 64),
    Shape(32, 64, 64),
    Shape(16, 128, 128),
    Shape(8, 256, 256),
    Shape(4, 512, 512),
)
"""Those of `CifarCNN`, the first also without its channel of zeros, and `ResNet18`."""


def runs(shape: Shape, batch: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """What is timed of one shape, compiled, and the operations of each."""

    def convolve(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            (shape.stride, shape.stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    side, inputs, outputs, size, _ = shape
    x = jax.random.normal(jax.random.key(0), (batch, side, side, inputs))
    w = jax.random.normal(jax.random.key(1), (size, size, inputs, outputs))
    g = convolve(x, w)
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
    return found, 2 * g.size * size**2 * inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    for shape in SHAPES:
        functions, flops = runs(shape, args.batch)
        print(f"{shape}, GFLOP/s:", flush=True)
        for name, seconds in seconds_in_turns(
            functions, num_rounds=args.rounds
        ).items():
            print(f"    {name:18} {flops / statistics.median(seconds) / 1e9:5.0f}")


if __name__ == "__main__":
    main()
