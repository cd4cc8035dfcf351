"""One full-batch training step of the grokking transformer, against PyTorch.

    python -m benchmarks.grokking_step [--rounds N] [--normalize]

The size is the paper's: p = 117, a fifth of all pairs, cross-entropy, Adam, and every
matrix scaled back to its initial norm after each step. Ours is a `lax.scan` in one
`jit`. The peer is the same model in ordinary PyTorch: a module that computes all five
positions with fused attention, `torch.optim.Adam`, and a projection loop. Both start
from the same weights, and their losses are compared before and after some training.
Then they are timed in turn, round after round. Without PyTorch installed
(`pip install -e '.[bench]'`), only ours is timed.

**Floor.** A step needs at least four products for each pair (attention output, both MLP
matrices, unembedding), each once forward and twice backward: 2.67 GFLOP. The floor
divides this by the rate at which the machine multiplies matrices of these shapes,
measured in the same rounds. Everything else is then free.

**Results** on 2 cores of an AMD EPYC (Zen 4) with jax 0.10.2, while little else was
running: 16.6 ms a step at best and 17.4 in the median, 81 % (at best) of the rate of
the 2738 x 128 x 512 product; with the norms 17.7 and 18.3 ms, 80 %. The rest of the
time: attention over the gathered rows about 1 ms, Adam and the projection 0.5, the loss
0.3, ReLU and its mask 0.25, and kernel gradients that run below the rate. PyTorch 2.13
takes 12 to 13 times as long. The ratio grows to 20 and more when other programs share
the cores, so quote it only from a quiet machine.
"""

import importlib.util
import statistics
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

import nap_optax
from benchmarks.machine import MatmulShape, matmul_flops, matmul_seconds
from benchmarks.options import Parser, count
from experiments.harness import command_line
from models import GrokkingTransformer

MODULUS = 117
TRAIN_FRACTION = 0.2
NUM_HEADS = 4
HEAD_DIM = 32
MLP_DIM = 512
WIDTH = NUM_HEADS * HEAD_DIM
LEARNING_RATE = 1e-3  # low, so that both agree for some steps despite rounding
NUM_THREADS = 2

Step = Callable[[int], float]
"""Trains for a number of steps; returns the loss before the last step."""


def training_pairs() -> tuple[np.ndarray, np.ndarray]:
    """The first and second numbers of a random share of all pairs, int32."""
    num_pairs = round(TRAIN_FRACTION * MODULUS**2)
    order = np.random.default_rng(0).permutation(MODULUS**2)[:num_pairs]
    x, y = np.divmod(order.astype(np.int32), MODULUS)
    return x, y


def forward_products(num_pairs: int) -> tuple[MatmulShape, ...]:
    """The matrix products that every pair needs: W_O, W_1, W_2 and W_U."""
    return (
        (num_pairs, WIDTH, WIDTH),
        (num_pairs, WIDTH, MLP_DIM),
        (num_pairs, MLP_DIM, WIDTH),
        (num_pairs, WIDTH, MODULUS),
    )


def minimal_flops(num_pairs: int) -> int:
    """Operations of the products: forward, backward for inputs and for kernels."""
    return 3 * sum(map(matmul_flops, forward_products(num_pairs)))


def jax_step(model: GrokkingTransformer, x: np.ndarray, y: np.ndarray) -> Step:
    graph, params = nnx.split(model)
    first, second, labels = jnp.asarray(x), jnp.asarray(y), jnp.asarray(x + y) % MODULUS
    tx = optax.chain(
        optax.scale_by_adam(),
        optax.scale_by_learning_rate(LEARNING_RATE),
        nap_optax.project_weights(),
    )

    def loss_fn(params: Any) -> jax.Array:
        logits = nnx.merge(graph, params)(first, second)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
        params, opt_state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    scan = jax.jit(
        lambda carry, num_steps: lax.scan(step, carry, None, length=num_steps),
        static_argnums=1,
    )
    carry = (params, tx.init(params))

    def run(num_steps: int) -> float:
        nonlocal carry
        carry, losses = scan(carry, num_steps)
        return losses[-1].item()

    return run


def torch_model(model: GrokkingTransformer, normalize: bool) -> Any:
    """The same model with the same weights, at all five positions."""
    import torch
    from torch import nn
    from torch.nn import functional

    def linear(source: nnx.Linear) -> nn.Linear:
        kernel = torch.from_numpy(np.array(source.kernel[...]).T.copy())
        layer = nn.Linear(kernel.shape[1], kernel.shape[0], bias=False)
        layer.weight = nn.Parameter(kernel)
        return layer

    def embedding(source: nnx.Embed) -> nn.Embedding:
        table = torch.from_numpy(np.array(source.embedding[...]))
        return nn.Embedding.from_pretrained(table, freeze=False)

    def norm() -> nn.Module:
        return nn.RMSNorm(WIDTH, eps=1e-6) if normalize else nn.Identity()

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token_embedding = embedding(model.token_embedding)
            self.position_embedding = embedding(model.position_embedding)
            (block,) = model.blocks
            self.query, self.key = linear(block.query), linear(block.key)
            self.value, self.output = linear(block.value), linear(block.output)
            self.mlp_in, self.mlp_out = linear(block.mlp_in), linear(block.mlp_out)
            self.unembedding = linear(model.unembedding)
            self.attention_norm, self.mlp_norm = norm(), norm()
            self.unembedding_norm = norm()

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            num_pairs, length = tokens.shape
            h = self.token_embedding(tokens) + self.position_embedding.weight
            normed = self.attention_norm(h)
            query, key, value = (
                layer(normed).view(num_pairs, length, NUM_HEADS, -1).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )
            attended = functional.scaled_dot_product_attention(query, key, value)
            attended = attended.transpose(1, 2).reshape(num_pairs, length, WIDTH)
            h = h + self.output(attended)
            h = h + self.mlp_out(torch.relu(self.mlp_in(self.mlp_norm(h))))
            return self.unembedding(self.unembedding_norm(h[:, -1]))

    return Transformer()


def torch_step(
    model: GrokkingTransformer, normalize: bool, x: np.ndarray, y: np.ndarray
) -> Step:
    import torch
    from torch.nn import functional

    torch.set_num_threads(NUM_THREADS)
    module = torch_model(model, normalize)
    symbols = [np.full_like(x, MODULUS + i) for i in range(3)]
    sequence = [x, symbols[0], y, symbols[1], symbols[2]]
    tokens = torch.from_numpy(np.stack(sequence, axis=1).astype(np.int64))
    labels = torch.from_numpy(((x + y) % MODULUS).astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    matrices = [weight for weight in module.parameters() if weight.ndim > 1]
    radii = [weight.detach().norm() for weight in matrices]

    def run(num_steps: int) -> float:
        for _ in range(num_steps):
            optimizer.zero_grad()
            loss = functional.cross_entropy(module(tokens), labels)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for weight, radius in zip(matrices, radii, strict=True):
                    weight.mul_(radius / weight.norm())
        return loss.item()

    return run


def check_equal_losses(ours: Step, peer: Step) -> None:
    """Stops unless both give the same loss at the start and after some training."""
    for num_steps, when in ((1, "at the start"), (9, "nine steps later")):
        losses = ours(num_steps), peer(num_steps)
        np.testing.assert_allclose(*losses, rtol=1e-5)
        print(f"loss {when}: {losses[0]:.6f} (ours), {losses[1]:.6f} (PyTorch)")


def report(
    times: dict[str, list[float]], product_times: list[list[float]], num_pairs: int
) -> None:
    flops = minimal_flops(num_pairs)
    floor = 3 * sum(map(min, product_times))
    print(
        f"\n{num_pairs} pairs; at least {flops / 1e9:.2f} GFLOP a step; its products "
        f"alone run at {flops / floor / 1e9:.0f} GFLOP/s: floor {1e3 * floor:.1f} ms"
    )
    print(f"{'':12}{'ms, median':>12}{'ms, min':>10}{'steps/s':>10}{'of the rate':>13}")
    for name, seconds in times.items():
        median, best = statistics.median(seconds), min(seconds)
        print(
            f"{name:12}{1e3 * median:12.2f}{1e3 * best:10.2f}{1 / median:10.1f}"
            f"{floor / median:8.0%} ({floor / best:.0%} at best)"
        )
    if len(times) > 1:
        ours, peer = times.values()
        pairs = zip(peer, ours, strict=True)
        ratio = statistics.median(theirs / own for theirs, own in pairs)
        print(
            f"\nPyTorch / ours: {ratio:.2f} (median of the rounds), "
            f"{min(peer) / min(ours):.2f} (of the minima)"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.grokking_step", __doc__)
    parser.add_argument("--rounds", type=count(), default=15)
    parser.add_argument("--steps", type=count(), default=20, help="steps in a round")
    parser.add_argument("--normalize", action="store_true", help="with RMSNorms")
    args = parser.parsed(argv)

    x, y = training_pairs()
    model = GrokkingTransformer(
        MODULUS,
        num_heads=NUM_HEADS,
        head_dim=HEAD_DIM,
        mlp_dim=MLP_DIM,
        normalize=args.normalize,
        rngs=nnx.Rngs(0),
    )
    steps = {"nap_optax": jax_step(model, x, y)}
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: ours alone.")
    else:
        steps["PyTorch"] = torch_step(model, args.normalize, x, y)
        check_equal_losses(*steps.values())

    products = forward_products(len(x))
    product_times: list[list[float]] = [[] for _ in products]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(args.steps)  # compiles
    for _ in range(args.rounds):
        for shape, seconds in zip(products, product_times, strict=True):
            seconds.extend(matmul_seconds(shape, repeats=5))
        for name, step in steps.items():
            start = time.perf_counter()
            step(args.steps)
            times[name].append((time.perf_counter() - start) / args.steps)
    report(times, product_times, len(x))


if __name__ == "__main__":
    sys.exit(command_line.run(main))
