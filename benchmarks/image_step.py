"""One training step of the models of images, against PyTorch, on 1 and on 2 cores.

    python -m benchmarks.image_step [--models cifar_cnn resnet18] [--cores 1 2]
    python -m benchmarks.image_step --variants [--cores 1 2]

A step is forward, backward and Adam on one batch of 128 random 32 x 32 images; data
loading and projection are left out. Ours is one `jit` and one dispatch a step: XLA's
CPU backend runs convolutions inside a `scan` more than ten times slower. The peer is
the same model as one writes it for PyTorch's CPU: channels last, LayerNorm on a view,
the fused Adam, not compiled. Both start from the same weights; their losses are
compared, before and after some training, and only then are they timed, in turn, round
after round. Each number of cores is a process of its own, bound to that many. Without
PyTorch installed (`pip install 'nap-optax[bench]'`), only ours is timed.

`SAME` padding with stride 2 puts the odd row after an even side, PyTorch's before it.
The mirrored network on mirrored images is the same function, so the peer has mirrored
kernels and images, and need not copy anything into a padded array.

Floor. All layers as matrix products, each once forward, once backward for the kernel
and, but for the first, once for the inputs: 1.7 GFLOP (CifarCNN) and 426 GFLOP
(ResNet-18), divided by the rate of a large square product measured in the same rounds.
Normalisations, ReLUs, Adam and all copies are then free.

`--variants` times the step with other ways to compute a convolution, from the same
weights and with losses that must agree. They are passed to the layers from outside;
the models do not know them.
"""

import argparse
import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from benchmarks.machine import MatmulShape, matmul_flops, matmul_seconds
from models import CifarCNN, ResNet18

SIDE = 32
NUM_CHANNELS = 3
NUM_CLASSES = 10
WIDTH = 64
# Low, since Adam's first steps are signs: rounding decides them where a gradient is
# near 0 and parts the two. (In float64 their gradients agree to 2e-15.)
LEARNING_RATE = 1e-5
SQUARE = (1536, 1536, 1536)
STEPS_IN_A_ROUND = {"cifar_cnn": 10, "resnet18": 1}

Convolution = Callable[..., jax.Array]
"""What `nnx.Conv` calls: (inputs, kernel, strides, padding, **other options)."""

Step = Callable[[int], float]
"""Trains for a number of steps; returns the loss before the last of them."""


def build(name: str) -> CifarCNN | ResNet18:
    if name == "cifar_cnn":
        return CifarCNN(rngs=nnx.Rngs(0))
    return ResNet18(width=WIDTH, rngs=nnx.Rngs(0))


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
    """Forward, for the kernels, and for the inputs of all layers but the first."""
    flops = [matmul_flops(shape) for shape in forward_products(name, batch)]
    return 3 * sum(flops) - flops[0]


def mean_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def jax_step(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    convolution: Convolution = lax.conv_general_dilated,
    num_parts: int = 1,
) -> Step:
    """Ours; with several parts, the batch goes through the network part by part."""
    model = build(name)
    for _, module in nnx.iter_modules(model):
        if isinstance(module, nnx.Conv):
            module.conv_general_dilated = convolution
    graph, params = nnx.split(model)
    tx = optax.adam(LEARNING_RATE)
    parts = [
        (jnp.asarray(some_images), jnp.asarray(some_labels))
        for some_images, some_labels in zip(
            np.split(images, num_parts), np.split(labels, num_parts), strict=True
        )
    ]

    def loss_fn(params: Any, parts: Any) -> jax.Array:
        apply = nnx.merge(graph, params)
        losses = [mean_loss(apply(images), labels) for images, labels in parts]
        return jnp.mean(jnp.stack(losses))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, opt_state: Any, parts: Any) -> tuple[Any, Any, jax.Array]:
        loss, grads = jax.value_and_grad(loss_fn)(params, parts)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    opt_state = jax.jit(tx.init)(params)

    def run(num_steps: int) -> float:
        nonlocal params, opt_state
        for _ in range(num_steps):
            params, opt_state, loss = step(params, opt_state, parts)
        jax.block_until_ready(params)
        return loss.item()

    return run


def torch_step(
    name: str, images: np.ndarray, labels: np.ndarray, num_threads: int
) -> Step:
    """The peer, with the weights of ours."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(num_threads)
    model = build(name)
    if name == "cifar_cnn":
        module = torch_cifar_cnn(model)
        images = images[:, ::-1, ::-1]
    else:
        module = torch_resnet(model)
    module = module.to(memory_format=torch.channels_last)
    inputs = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    targets = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)

    def run(num_steps: int) -> float:
        for _ in range(num_steps):
            optimizer.zero_grad()
            loss = functional.cross_entropy(module(inputs), targets)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def torch_convolution(source: nnx.Conv, mirrored: bool = False) -> Any:
    """A layer with the same kernel, mirrored if asked, and PyTorch's usual padding."""
    import torch

    kernel = np.array(source.kernel[...])
    if mirrored:
        kernel = kernel[::-1, ::-1]
    size, _, inputs, outputs = kernel.shape
    strides: Any = source.strides
    layer = torch.nn.Conv2d(
        inputs, outputs, size, strides[0], padding=size // 2, bias=False
    )
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    layer.weight = torch.nn.Parameter(weight)
    return layer


def torch_linear(kernel: np.ndarray) -> Any:
    import torch

    layer = torch.nn.Linear(*kernel.shape, bias=False)
    layer.weight = torch.nn.Parameter(torch.from_numpy(kernel.T.copy()))
    return layer


def torch_layer_norm(channels: int) -> Any:
    import torch

    class ChannelNorm(torch.nn.LayerNorm):
        """Over the channels: the last axis of the memory, so that nothing is copied."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return ChannelNorm(channels, eps=1e-6)


def torch_cifar_cnn(model: Any) -> Any:
    import torch
    from torch import nn

    convolutions = (model.conv_0, model.conv_1, model.conv_2)
    layers: list[nn.Module] = []
    for source in convolutions:
        convolution = torch_convolution(source, mirrored=True)
        norm = torch_layer_norm(convolution.out_channels)
        layers.extend([convolution, norm, nn.ReLU()])
    hidden = np.array(model.hidden.kernel[...])
    side, channels = SIDE // 4, convolutions[-1].out_features
    mirrored = hidden.reshape(side, side, channels, -1)[::-1, ::-1]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.torso = nn.Sequential(*layers)
            self.hidden = torch_linear(mirrored.reshape(hidden.shape))
            self.logits = torch_linear(np.array(model.logits.kernel[...]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = self.torso(images).permute(0, 2, 3, 1).flatten(1)
            return self.logits(torch.relu(self.hidden(flat)))

    return Network()


def torch_resnet(model: Any) -> Any:
    import torch
    from torch import nn

    class Normalised(nn.Sequential):
        def __init__(self, source: nnx.Conv) -> None:
            convolution = torch_convolution(source)
            super().__init__(convolution, torch_layer_norm(convolution.out_channels))

    class Block(nn.Module):
        def __init__(self, source: Any) -> None:
            super().__init__()
            self.first = Normalised(source.conv_0)
            self.second = Normalised(source.conv_1)
            self.shortcut = (
                Normalised(source.shortcut_conv)
                if source.has_projection
                else nn.Identity()
            )

        def forward(self, h: torch.Tensor) -> torch.Tensor:
            residual = self.second(torch.relu(self.first(h)))
            return torch.relu(self.shortcut(h) + residual)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = Normalised(model.stem_conv)
            self.blocks = nn.Sequential(
                *(Block(getattr(model, f"block_{index}")) for index in range(8))
            )
            self.logits = torch_linear(np.array(model.logits.kernel[...]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            h = self.blocks(torch.relu(self.stem(images)))
            return self.logits(h.mean((2, 3)))

    return Network()


def shifted(
    inputs: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any
) -> list[jax.Array]:
    """For each position of the kernel, in order, the inputs that it meets."""
    rows, columns, *_ = kernel.shape
    _, height, width, _ = inputs.shape
    if isinstance(padding, str):
        sides, windows = (height, width), (rows, columns)
        padding = lax.padtype_to_pads(sides, windows, strides, padding)
    padded = jnp.pad(inputs, [(0, 0), *padding, (0, 0)])
    down, right = strides
    last_row, last_column = padded.shape[1] - rows, padded.shape[2] - columns
    return [
        padded[:, i : last_row + i + 1 : down, j : last_column + j + 1 : right]
        for i in range(rows)
        for j in range(columns)
    ]


def one_product(
    inputs: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **_: Any
) -> jax.Array:
    """Shifted slices side by side, times the kernel as one matrix."""
    patches = jnp.concatenate(shifted(inputs, kernel, strides, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def sum_of_products(
    inputs: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **_: Any
) -> jax.Array:
    """One product for each position of the kernel, and nothing side by side."""
    matrices = kernel.reshape(-1, *kernel.shape[-2:])
    slices = shifted(inputs, kernel, strides, padding)
    outputs = [x @ matrix for x, matrix in zip(slices, matrices, strict=True)]
    return functools.reduce(jnp.add, outputs)


def product_for_the_kernel(
    inputs: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any
) -> jax.Array:
    """`lax.conv`, and the gradient of the kernel as one product of shifted slices."""

    @jax.custom_vjp
    def convolve(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            inputs, kernel, strides, padding=padding, **options
        )

    def forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
        return convolve(inputs, kernel), (inputs, kernel)

    def backward(saved: Any, cotangents: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs, kernel = saved
        patches = jnp.concatenate(shifted(inputs, kernel, strides, padding), axis=-1)
        rows = patches.reshape(-1, patches.shape[-1])
        kernel_bar = rows.T @ cotangents.reshape(-1, cotangents.shape[-1])
        _, pullback = jax.vjp(
            lambda x: lax.conv_general_dilated(
                x, kernel, strides, padding=padding, **options
            ),
            inputs,
        )
        return *pullback(cotangents), kernel_bar.reshape(kernel.shape)

    convolve.defvjp(forward, backward)
    return convolve(inputs, kernel)


def in_halves(inputs: jax.Array, *args: Any, **options: Any) -> jax.Array:
    """`lax.conv` of each half of the batch."""
    halves = jnp.split(inputs, 2)
    return jnp.concatenate(
        [lax.conv_general_dilated(half, *args, **options) for half in halves]
    )


def variants(name: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Step]:
    step = functools.partial(jax_step, name, images, labels)
    return {
        "lax.conv": step(),
        "one product": step(one_product),
        "sum of products": step(sum_of_products),
        "product for kernel": step(product_for_the_kernel),
        "lax.conv in halves": step(in_halves),
        "network in halves": step(num_parts=2),
        "halves, product": step(one_product, num_parts=2),
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
        f"at least {flops / 1e9:.2f} GFLOP a step; a square product runs at "
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
    if args.variants:
        steps = variants(name, images, labels)
        peer = "lax.conv"
    else:
        steps = {"ours": jax_step(name, images, labels)}
        peer = "ours"
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: ours alone.")
    else:
        peer = "PyTorch"
        steps[peer] = torch_step(name, images, labels, num_cores)
    check_equal_losses(steps)

    num_steps = args.steps or STEPS_IN_A_ROUND[name]
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
        raise SystemExit(f"--cores {num_cores}: there are {len(available)} here.")
    # XLA and PyTorch count the cores when they start; a child inherits its parent's.
    os.sched_setaffinity(0, sorted(available)[:num_cores])
    command = [sys.executable, "-m", "benchmarks.image_step", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": str(num_cores)}
    done = subprocess.run([*command, "--bound"], env=environment, check=False)
    os.sched_setaffinity(0, available)
    if done.returncode:
        raise SystemExit(done.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = list(STEPS_IN_A_ROUND)
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, help="steps in a round")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--variants", action="store_true", help="other convolutions")
    parser.add_argument("--bound", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bound:
        for name in args.models:
            compare(name, args, num_cores=len(os.sched_getaffinity(0)))
        return
    for num_cores in args.cores:
        run_on(num_cores, sys.argv[1:])


if __name__ == "__main__":
    main()
