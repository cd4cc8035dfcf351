"""One training step of the models of images, against PyTorch, on 1 and on 2 cores.

    python -m benchmarks.images.step [--models cifar_cnn resnet18] [--cores 1 2]
    python -m benchmarks.images.step --variants [--cores 1 2]
    python -m benchmarks.images.step --profile [--cores 1 2]

A step is forward, backward and Adam on one batch of 128 random 32 x 32 images, without
data loading and projection. Ours is one `jit` and one dispatch a step, with the trunk
in slices of the batch and the harness's options for a CPU (`backend.examples_at_once`,
`backend.convolution_options`). It is no `scan`, in which XLA's CPU backend runs
convolutions more than ten times slower. The peer is the same model in ordinary PyTorch
for a CPU (`benchmarks/images/peer.py`). Both start from the same weights, and their
losses are compared before and after some training. Then they are timed in turn, round
after round. Each number of cores has its own process, bound to that many cores. Without
PyTorch installed (`pip install -e '.[bench]'`), only ours is timed.

`SAME` padding with stride 2 puts the odd row after an even side, PyTorch's before it.
The mirrored network on mirrored images is the same function. So the peer has mirrored
kernels and images, and copies nothing into a padded array.

**Floor.** All layers are counted as matrix products, each once forward, once backward
for the kernel and, except for the first, once for the inputs: 1.7 GFLOP (CifarCNN) and
426 GFLOP (ResNet-18). They are divided by the rate of a large square product measured
in the same rounds. Normalisations, ReLUs, Adam and all copies are then free.
(Winograd's algorithm, in `models.cpu.winograd`, needs fewer multiplications.)

`--variants` times other ways to compute the step: with the libraries that XLA chooses
for convolutions and products, with the whole batch at once, with flax's LayerNorm and
with other forms of a convolution, including the plain one. All start from the same
weights, and their losses must agree. Layers are replaced from outside the models.
`--profile` prints which operations take the time of our step.
"""

import argparse
import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.images.peer import torch_step
from benchmarks.images.profile import print_profile
from benchmarks.images.ways import one_product, product_for_the_kernel
from benchmarks.machine import MatmulShape, matmul_flops, matmul_seconds
from benchmarks.options import MOST_IMAGES, Parser, count
from experiments.harness import command_line
from experiments.harness.backend import (
    convolution_options,
    examples_at_once,
    narrowest_convolution,
)
from models import CifarCNN, ResNet18
from models.images import ImageClassifier
from models.layers import centered
from models.normalization import ChannelNorm

SIDE = 32
NUM_CHANNELS = 3
NUM_CLASSES = 10
WIDTH = 64
# Low, because Adam's first steps are signs. Near a gradient of 0 rounding decides them,
# and the two models diverge. (In float64 their gradients agree to 2e-15.)
LEARNING_RATE = 1e-5
SQUARE = (1536, 1536, 1536)
STEPS_IN_A_ROUND = {"cifar_cnn": 10, "resnet18": 1}

Convolution = Callable[..., jax.Array]
"""The function that `nnx.Conv` calls: (inputs, kernel, strides, padding, **options)."""

Step = Callable[[int], float]
"""Trains for a number of steps; returns the loss before the last step."""


def build(name: str) -> CifarCNN | ResNet18:
    if name == "cifar_cnn":
        return CifarCNN(rngs=nnx.Rngs(0))
    return ResNet18(width=WIDTH, rngs=nnx.Rngs(0))


def options_of(model: ImageClassifier) -> dict[str, str]:
    """The options with which the harness compiles a step of the model."""
    return convolution_options(narrowest_convolution(nnx.state(model)))


def random_batch(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, float32, and labels, int32."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(size, SIDE, SIDE, NUM_CHANNELS))
    labels = generator.integers(NUM_CLASSES, size=size)
    return images.astype(np.float32), labels.astype(np.int32)


def forward_products(name: str, batch: int) -> tuple[MatmulShape, ...]:
    """The layers as matrix products, from the first to the last."""
    if name == "cifar_cnn":
        return (
            (batch * 16**2, 5**2 * NUM_CHANNELS, 32),
            (batch * 8**2, 3**2 * 32, 32),
            (batch * 8**2, 3**2 * 32, 32),
            (batch, 8**2 * 32, 300),
            (batch, 300, NUM_CLASSES),
        )
    rows, inputs = batch * SIDE**2, WIDTH
    products = [(rows, 3**2 * NUM_CHANNELS, WIDTH)]
    for stage in range(4):
        outputs = WIDTH * 2**stage
        if stage > 0:
            rows //= 4
            products.append((rows, inputs, outputs))
        products.append((rows, 3**2 * inputs, outputs))
        products.extend(3 * [(rows, 3**2 * outputs, outputs)])
        inputs = outputs
    return (*products, (batch, inputs, NUM_CLASSES))


def minimal_flops(name: str, batch: int) -> int:
    """Operations: forward, for kernels, and for inputs of all layers but the first."""
    flops = [matmul_flops(shape) for shape in forward_products(name, batch)]
    return 3 * sum(flops) - flops[0]


class JaxStep:
    """Our step, with some images of the batch at a time."""

    def __init__(
        self,
        model: CifarCNN | ResNet18,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        at_once: int,
        options: Mapping[str, str],
        dtype: Any = jnp.float32,
    ):
        graph, params = nnx.split(model)
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        tx = optax.adam(LEARNING_RATE)

        def loss_fn(params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
            model = nnx.merge(graph, params)
            logits = model.apply_in_slices(images, at_once)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean()

        def step(
            params: Any, opt_state: Any, images: jax.Array, labels: jax.Array
        ) -> tuple[Any, Any, jax.Array]:
            loss, grads = jax.value_and_grad(loss_fn)(params, images, labels)
            updates, opt_state = tx.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, loss

        self._batch = (jnp.asarray(images, dtype), jnp.asarray(labels))
        self._state = (params, jax.jit(tx.init)(params))
        jitted = jax.jit(step, donate_argnums=(0, 1))
        self._step = jitted.lower(*self._state, *self._batch).compile(dict(options))

    def __call__(self, num_steps: int) -> float:
        """Trains; returns the loss before the last step."""
        for _ in range(num_steps):
            *state, loss = self._step(*self._state, *self._batch)
            self._state = tuple(state)
        jax.block_until_ready(self._state)
        return loss.item()

    @property
    def program(self) -> str:
        """The text of the compiled program."""
        return str(self._step.as_text())


def with_convolution(model: Any, convolution: Convolution) -> Any:
    """The model with another convolution, centred for its normalisations."""
    for _, module in nnx.iter_modules(model):
        if isinstance(module, nnx.Conv):
            module.conv_general_dilated = centered(convolution)
    return model


def with_flax_norms(model: Any) -> Any:
    """The model with `nnx.LayerNorm` instead of ours."""
    for _, module in list(nnx.iter_modules(model)):
        for name, child in list(vars(module).items()):
            if isinstance(child, ChannelNorm):
                norm = nnx.LayerNorm(
                    child.num_features,
                    epsilon=child.epsilon,
                    use_bias=child.use_bias,
                    rngs=nnx.Rngs(0),
                )
                setattr(module, name, norm)
    return model


def variants(name: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Step]:
    batch = len(images)
    options = options_of(build(name))

    def step(
        model: Any,
        at_once: int = examples_at_once(batch),
        options: Mapping[str, str] = options,
    ) -> Step:
        return JaxStep(model, images, labels, at_once=at_once, options=options)

    return {
        "XLA's libraries": step(build(name), options={}),
        "whole batch": step(build(name), batch),
        "slices of a quarter": step(build(name), -(-batch // 4)),
        "flax's LayerNorm": step(with_flax_norms(build(name))),
        "plain convolutions": step(
            with_convolution(build(name), jax.lax.conv_general_dilated)
        ),
        "one product": step(with_convolution(build(name), one_product)),
        "product for kernel": step(
            with_convolution(build(name), product_for_the_kernel)
        ),
    }


def check_equal_losses(steps: dict[str, Step]) -> None:
    """Stops unless all give the same loss at the start and after some training."""
    for num_steps, when, tolerance in ((1, "first", 1e-5), (3, "fourth", 1e-3)):
        losses = {name: step(num_steps) for name, step in steps.items()}
        expected = next(iter(losses.values()))
        for name, loss in losses.items():
            np.testing.assert_allclose(loss, expected, rtol=tolerance, err_msg=name)
        listed = ", ".join(f"{loss:.6f}" for loss in losses.values())
        print(f"loss of the {when} step, which agree to {tolerance:g}: {listed}")


def report(
    times: dict[str, list[float]], product_times: list[float], flops: int, peer: str
) -> None:
    floor = flops * min(product_times) / matmul_flops(SQUARE)
    print(
        f"{flops / 1e9:.2f} GFLOP in a step's plain products; a square product runs at "
        f"{flops / floor / 1e9:.0f} GFLOP/s: floor {1e3 * floor:.1f} ms"
    )
    print(
        f"{'':20}{'ms, median':>12}{'ms, min':>10}{'floor / time':>16}"
        f"{f'time / {peer}':>20}"
    )
    for name, seconds in times.items():
        median, best = statistics.median(seconds), min(seconds)
        pairs = zip(seconds, times[peer], strict=True)
        ratio = statistics.median(own / theirs for own, theirs in pairs)
        print(
            f"{name:20}{1e3 * median:12.2f}{1e3 * best:10.2f}"
            f"{floor / median:8.0%}{floor / best:8.0%}"
            f"{ratio:12.2f}{best / min(times[peer]):8.2f}"
        )


def compare(name: str, args: argparse.Namespace, num_cores: int) -> None:
    """Times one model in this process."""
    print(f"\n{name}, batch {args.batch}, cores: {num_cores}", flush=True)
    images, labels = random_batch(args.batch)
    num_steps = args.steps or STEPS_IN_A_ROUND[name]
    at_once = examples_at_once(args.batch)
    model = build(name)
    options = options_of(model)
    ours = JaxStep(model, images, labels, at_once=at_once, options=options)
    if args.profile:
        ours(num_steps)
        run = functools.partial(ours, num_steps)
        print_profile(run, ours.program, num_steps=num_steps)
        return
    peer = "ours"
    steps: dict[str, Step] = {peer: ours}
    if args.variants:
        steps |= variants(name, images, labels)
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: ours alone.")
    else:
        peer = "PyTorch"
        steps[peer] = torch_step(
            build(name),
            images,
            labels,
            learning_rate=LEARNING_RATE,
            num_threads=num_cores,
        )
    check_equal_losses(steps)

    times: dict[str, list[float]] = {variant: [] for variant in steps}
    product_times: list[float] = []
    for _ in range(args.rounds):
        product_times.extend(matmul_seconds(SQUARE, repeats=2))
        for variant, step in steps.items():
            start = time.perf_counter()
            step(num_steps)
            times[variant].append((time.perf_counter() - start) / num_steps)
    report(times, product_times, minimal_flops(name, args.batch), peer)


def run_on(num_cores: int, arguments: Sequence[str]) -> None:
    """Runs this module in a process that is bound to the first cores."""
    available = os.sched_getaffinity(0)
    if num_cores > len(available):
        raise SystemExit(f"--cores {num_cores}: must be at most {len(available)} here")
    # XLA and PyTorch count the cores when they start; a child inherits its parent's.
    os.sched_setaffinity(0, sorted(available)[:num_cores])
    command = [sys.executable, "-m", "benchmarks.images.step", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": str(num_cores)}
    done = subprocess.run([*command, "--bound"], env=environment, check=False)
    os.sched_setaffinity(0, available)
    if done.returncode:
        raise SystemExit(done.returncode)


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.images.step", __doc__)
    names = list(STEPS_IN_A_ROUND)
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--cores", nargs="+", type=count(len(os.sched_getaffinity(0))), default=[1, 2]
    )
    parser.add_argument("--rounds", type=count(), default=15)
    parser.add_argument("--steps", type=count(), help="steps in a round")
    parser.add_argument("--batch", type=count(MOST_IMAGES), default=128)
    parser.add_argument("--variants", action="store_true", help="other ways to compute")
    parser.add_argument("--profile", action="store_true", help="time by operation")
    parser.add_argument("--bound", action="store_true", help=argparse.SUPPRESS)
    args = parser.parsed(argv)
    if args.bound:
        for name in args.models:
            compare(name, args, num_cores=len(os.sched_getaffinity(0)))
        return
    for num_cores in args.cores:
        run_on(num_cores, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
