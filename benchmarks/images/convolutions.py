"""Rates of the image models' convolutions on a CPU, by XLA's two libraries and by ours.

    taskset -c 0 python -m benchmarks.images.convolutions [--batch 16]

For each shape it prints the rate forward, for the kernel and for the inputs: with
YNNPACK (XLA's choice), with Eigen (`backend.convolution_options` of a wide network) and
with the way of `models.cpu`, if it has one, even if it would not be chosen. Rates count
the operations of a plain convolution, so Winograd's may exceed the processor's. A step
has slices of 16 images, but whole batches (`--batch 128`) in ResNet-18's last stage.
"""

import functools
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from benchmarks.options import MOST_IMAGES, Parser, count
from experiments.harness import command_line
from experiments.harness.backend import CPU_SLICE, WIDE, convolution_options
from experiments.harness.timing import seconds_in_turns
from models.cpu.convolution import paired_columns
from models.cpu.winograd import winograd

Convolution = Callable[[jax.Array, jax.Array], jax.Array]


class Shape(NamedTuple):
    """The shape of a convolution with `SAME` padding."""

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
    Shape(28, 1, 32, 5, 2),
    Shape(32, 3, 32, 5, 2),
    Shape(16, 32, 32, 3, 2),
    Shape(8, 32, 32),
    Shape(32, 3, 64),
    Shape(32, 64, 64),
    Shape(16, 128, 128),
    Shape(8, 256, 256),
    Shape(4, 512, 512),
)
"""The shapes of `CifarCNN`, and of `ResNet18` with stride 1."""


def ways(shape: Shape) -> dict[str, tuple[Convolution, dict[str, str]]]:
    """Ways to compute a convolution of some images, with XLA's options for each."""

    def plain(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            (shape.stride, shape.stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    eigen = convolution_options(WIDE)
    found: dict[str, tuple[Convolution, dict[str, str]]] = {
        "YNNPACK": (plain, {}),
        "Eigen": (plain, eigen),
    }
    if shape.inputs >= WIDE:
        found["Winograd"] = (winograd, eigen)
    if (shape.inputs, shape.stride) == (3, 2):
        pads = jax.lax.padtype_to_pads((shape.side,), (shape.size,), (2,), "SAME")
        paired = functools.partial(paired_columns, 2, (*pads, *pads))
        found["paired columns"] = (paired, convolution_options(WIDE - 1))
    return found


def runs(shape: Shape, batch: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """The compiled functions to time for one shape, and the operations of each."""
    side, inputs, outputs, size, stride = shape
    x = jax.random.normal(jax.random.key(0), (batch, side, side, inputs))
    w = jax.random.normal(jax.random.key(1), (size, size, inputs, outputs))
    g = jax.random.normal(
        jax.random.key(2), (batch, -(-side // stride), -(-side // stride), outputs)
    )
    found: dict[str, Callable[[], Any]] = {}
    for name, (convolve, options) in ways(shape).items():
        jit = functools.partial(jax.jit, compiler_options=options)
        forward = jit(convolve)
        for_kernel = jit(lambda x, w, g, f=convolve: jax.vjp(f, x, w)[1](g)[1])
        for_inputs = jit(lambda x, w, g, f=convolve: jax.vjp(f, x, w)[1](g)[0])
        found[f"forward, {name}"] = functools.partial(forward, x, w)
        found[f"kernel, {name}"] = functools.partial(for_kernel, x, w, g)
        found[f"inputs, {name}"] = functools.partial(for_inputs, x, w, g)
    for run in found.values():
        jax.block_until_ready(run())
    return found, 2 * g.size * size**2 * inputs


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.images.convolutions", __doc__)
    parser.add_argument("--batch", type=count(MOST_IMAGES), default=CPU_SLICE)
    parser.add_argument("--rounds", type=count(), default=9)
    args = parser.parsed(argv)
    for shape in SHAPES:
        functions, flops = runs(shape, args.batch)
        print(f"{shape}, GFLOP/s:", flush=True)
        for name, seconds in seconds_in_turns(
            functions, num_rounds=args.rounds
        ).items():
            print(f"    {name:24} {flops / statistics.median(seconds) / 1e9:5.0f}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
