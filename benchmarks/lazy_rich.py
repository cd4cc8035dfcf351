"""The costs of lazy and rich training: a sweep, the mean-field theory and a kernel.

    python -m benchmarks.lazy_rich [--small] [--sections sweep dmft kernel]

Sweep: seven α and three seeds of the polynomial task, by moments of the weights, all at
once and one after the other. They run against networks of 500 units that are trained
one after the other. Both are timed in turn on some steps, and scaled up to 30,000 of
all members. The bound is the number of units that the moments replace.

Theory: the causal solver with two units, 60 updates and 6,000 samples. Its floor is the
time to read once, for each update, the responses of all samples that it needs, at the
memory's bandwidth, measured in the same rounds.

Kernel: the tangent kernel of the grokking transformer at the paper's size, summed over
all of its outputs, in different forms. The floor of each is the time of its products at
this machine's rate of large products. `--whole` computes that of 2,000 pairs once.
"""

import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.machine import matmul_flops, memory_bandwidth
from benchmarks.options import Parser, count
from benchmarks.products import product_flops
from benchmarks.ratios import ratio
from benchmarks.sweep import at_once, compiled, one_after_the_other
from experiments.harness import command_line, memory
from experiments.harness.members import init_members
from experiments.lazy_rich.dmft import solver
from experiments.lazy_rich.dmft.config import Config as TheoryConfig
from experiments.lazy_rich.dmft.experiment import setting_of
from experiments.lazy_rich.dmft.family import FAMILY as THEORY
from experiments.lazy_rich.polynomial.config import Config as PolynomialConfig
from experiments.lazy_rich.polynomial.experiment import ByMoments, Units
from experiments.lazy_rich.training import Training
from models import GrokkingTransformer
from nap_optax import metrics

ALPHAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
NUM_SEEDS = 3
NUM_UPDATES = 30_000
TOKENS = "factors of layers, of tokens"
SECTIONS = ("sweep", "dmft", "kernel")
Clock = Callable[[], float]


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.lazy_rich", __doc__)
    parser.add_argument("--small", action="store_true", help="a trial of seconds")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--rounds", type=count(), default=5)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="measure seconds of all cores, which other programs affect less",
    )
    parser.add_argument(
        "--whole", action="store_true", help="also the kernel of 2,000 pairs, once"
    )
    args = parser.parsed(argv)
    run: dict[str, Callable[[bool, int, Clock], None]] = {
        "sweep": sweep,
        "dmft": theory,
        "kernel": functools.partial(kernel, whole=args.whole),
    }
    clock = time.process_time if args.processor_time else time.perf_counter
    for name in args.sections:
        run[name](args.small, args.rounds, clock)


def sweep(small: bool, rounds: int, clock: Clock) -> None:
    """Prints the times of a sweep by moments and of networks by their weights."""
    config = PolynomialConfig()
    if small:
        config = dataclasses.replace(config, dimension=6, num_train=12, width=8)
    configs = [
        dataclasses.replace(config, alpha=alpha, seed=seed)
        for alpha in ALPHAS
        for seed in range(NUM_SEEDS)
    ]
    moments, units = ByMoments(config), Training(config, Units(config))
    members, network = init_members(moments, configs), init_members(units, configs[:1])
    steps = 5 if small else 200
    ways = {
        "networks, one after the other": compiled(
            units, network, one_after_the_other, steps
        ),
        "moments, one after the other": compiled(
            moments, members, one_after_the_other, steps
        ),
        "moments, vectorised": compiled(moments, members, at_once, steps),
    }
    first = next(iter(ways))
    times = in_turns(ways, rounds, clock)
    each = {
        name: [own / (steps * (1 if name == first else len(configs))) for own in found]
        for name, found in times.items()
    }
    print(f"sweep of {len(configs)} members, {steps} of {NUM_UPDATES} updates timed")
    examples = 4 * config.num_train * config.dimension  # two products, for each unit
    few = min(config.width, config.dimension + 1)
    print(
        f"  products of an update: {examples * config.width / 1e6:.2f} MFLOP of a "
        f"network, {examples * few / 1e6:.2f} by moments, as {few} units: "
        f"{config.width / few:.1f} x fewer, the bound at one rate"
    )
    for name, found in each.items():
        whole = min(found) * len(configs) * NUM_UPDATES
        print(
            f"  {name}: {1e3 * min(found):.3f} ms for each update of a member, "
            f"{whole:.0f} s for the sweep, {ratio(each[first], found)} "
            "the networks' rate"
        )


def theory(small: bool, rounds: int, clock: Clock) -> None:
    """Prints the times of the causal solver."""
    config = TheoryConfig(nu=2.0)
    if small:
        config = dataclasses.replace(config, num_steps=4, num_samples=20)
    memory.require(THEORY.memory(config))
    setting = setting_of(config, config)
    one = jax.jit(
        functools.partial(
            solver.solve,
            num_steps=config.num_steps,
            num_samples=config.num_samples,
            center=config.center,
        )
    )
    keys = jax.random.split(jax.random.key(0), 4)
    ways = {
        "one seed": lambda: jax.block_until_ready(one(keys[0], setting)),
        "four seeds": lambda: [
            jax.block_until_ready(one(key, setting)) for key in keys
        ],
    }
    # Before an update t there are t^2 responses of a unit to a unit, of each sample.
    size = 4 * config.num_samples * config.width**2 * config.num_steps**3 // 3
    floor: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in ways}
    for own in ways.values():
        own()
    for _ in range(rounds):
        floor.append(size / memory_bandwidth(2**16 if small else 2**25, repeats=3))
        for name, own in ways.items():
            times[name].append(seconds(own, clock))
    print(
        f"theory: N = {config.width}, T = {config.num_steps}, "
        f"{config.num_samples} samples"
    )
    print(
        f"  one seed: {min(times['one seed']):.2f} s at best, "
        f"{statistics.median(times['one seed']):.2f} in the median; four seeds: "
        f"{min(times['four seeds']):.2f} and "
        f"{statistics.median(times['four seeds']):.2f}"
    )
    print(
        f"  floor {min(floor):.2f} s of a seed (reading what each update needs): "
        f"{ratio(times['one seed'], floor)}"
    )


def forms(small: bool) -> tuple[Any, Any, dict[str, Any]]:
    """Parameters, all pairs in some order, and functions of them with this kernel."""
    modulus, sizes = 113, dict[str, Any]()
    if small:
        modulus, sizes = 5, {"num_heads": 2, "head_dim": 4, "mlp_dim": 8}
    model = GrokkingTransformer(modulus, rngs=nnx.Rngs(0), **sizes)
    graph, params = nnx.split(model)
    order = jax.random.permutation(jax.random.key(1), modulus**2)
    every_pair = (order // modulus, order % modulus)

    def apply(params: Any, inputs: Any) -> jax.Array:
        return nnx.merge(graph, params)(*inputs)

    def of_tokens(params: Any, inputs: Any) -> jax.Array:
        """The same, with a row of the residual stream for each token of each pair."""
        return by_tokens(nnx.merge(graph, params), *inputs)

    def hidden(params: Any, inputs: Any) -> jax.Array:
        """The same with copies of the matrices, so that none is left as factors."""
        return apply(jax.tree.map(lambda leaf: leaf * 1, params), inputs)

    return (
        params,
        every_pair,
        {
            "Jacobians": functools.partial(metrics.empirical_ntk, hidden),
            "factors of layers (`empirical_ntk`)": functools.partial(
                metrics.empirical_ntk, apply
            ),
            TOKENS: functools.partial(metrics.empirical_ntk, of_tokens),
            "products with vectors": functools.partial(by_products, apply),
        },
    )


def kernel(small: bool, rounds: int, clock: Clock, whole: bool) -> None:
    """Prints the times of the tangent kernel in different forms."""
    num_pairs = 6 if small else 100
    params, every_pair, ways = forms(small)
    modulus = params["unembedding"]["kernel"].shape[1]
    pairs = tuple(numbers[:num_pairs] for numbers in every_pair)
    compiled_ways = {
        name: jax.jit(way).lower(params, pairs).compile() for name, way in ways.items()
    }
    found = {name: own(params, pairs) for name, own in compiled_ways.items()}
    want = found["Jacobians"]
    for name, own in found.items():
        error = float(jnp.max(jnp.abs(own - want)) / jnp.max(jnp.abs(want)))
        if error > 1e-4:
            raise SystemExit(f"{name}: off by {error:.1e} of the largest entry")
    shape = (64, 64, 64) if small else (2048, 2048, 2048)
    products: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        products += matmul_times(shape, clock)
        for name, own in compiled_ways.items():
            times[name].append(seconds(functools.partial(own, params, pairs), clock))
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    rate = matmul_flops(shape) / min(products)
    print(
        f"kernel of {num_pairs} pairs, all {modulus} outputs, {num_params} parameters; "
        f"large products at {rate / 1e9:.0f} GFLOP/s. Operations are those of each "
        "form's products, counted in its program"
    )
    for name, own in times.items():
        flops = product_flops(ways[name], params, pairs)
        print(
            f"  {name}: {min(own):.3f} s at best, {ratio(own, times['Jacobians'])} the "
            f"Jacobians'; {flops / 1e9:.1f} GFLOP, floor {flops / rate:.3f} s, "
            f"{flops / min(own) / rate:.0%} of the rate"
        )
    if whole:
        many = tuple(numbers[:2000] for numbers in every_pair)
        whole_kernel(ways[TOKENS], params, many, rate, clock)


def whole_kernel(
    way: Callable[..., jax.Array], params: Any, pairs: Any, rate: float, clock: Clock
) -> None:
    """Prints the time of one run of the kernel of many pairs."""
    run = jax.jit(way).lower(params, pairs).compile()
    took = seconds(functools.partial(run, params, pairs), clock)
    flops = product_flops(way, params, pairs)
    needs: Any = run.memory_analysis()
    print(
        f"  {TOKENS}, {len(pairs[0])} pairs: {took:.1f} s; {flops / 1e9:.0f} GFLOP, "
        f"floor {flops / rate:.1f} s; "
        f"{needs.temp_size_in_bytes / 1e9:.2f} GB beside it"
    )


def by_tokens(model: GrokkingTransformer, x: jax.Array, y: jax.Array) -> jax.Array:
    """The logits of a transformer of one block, as those of several are computed.

    The model itself shares keys and values among pairs, so that no layer has them.
    """
    others = (jnp.full_like(x, model.modulus + i) for i in range(3))
    dot, equals, square = others
    tokens = jnp.stack([x, dot, y, equals, square], axis=1)
    rows = model.token_embedding.embedding[...][tokens]
    rows += model.position_embedding.embedding[...][None]
    at_square = model.blocks[0].features(rows, queries=slice(-1, None))
    return model.unembedding(at_square["residual"][:, 0])


def by_products(apply: Callable[..., jax.Array], params: Any, inputs: Any) -> jax.Array:
    """The kernel by derivatives along gradients, without a Jacobian of many pairs."""
    outputs = jax.eval_shape(apply, params, inputs).shape[1]

    def column(example: Any) -> jax.Array:
        own = jax.tree.map(lambda leaf: leaf[None], example)

        def of_output(output: jax.Array) -> jax.Array:
            gradient = jax.grad(lambda params: apply(params, own)[0, output])(params)
            along = jax.jvp(lambda p: apply(p, inputs), (params,), (gradient,))[1]
            return along[:, output]

        return jnp.sum(jax.lax.map(of_output, jnp.arange(outputs)), axis=0)

    return jax.lax.map(column, inputs)


def in_turns(
    ways: Mapping[str, Callable[[], Any]], rounds: int, clock: Clock
) -> dict[str, list[float]]:
    """Seconds of each way in each round, without compilation."""
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            times[name].append(seconds(run, clock))
    return times


def seconds(run: Callable[[], Any], clock: Clock) -> float:
    """Seconds of one call, until its results are there."""
    start = clock()
    jax.block_until_ready(run())
    return clock() - start


def matmul_times(
    shape: tuple[int, int, int], clock: Clock, repeats: int = 3
) -> list[float]:
    """Seconds of large products, compiled before, by the measurement's clock."""
    rows, contracted, columns = shape
    multiply = jax.jit(jnp.matmul)
    left, right = jnp.ones((rows, contracted)), jnp.ones((contracted, columns))
    jax.block_until_ready(multiply(left, right))
    return [
        seconds(functools.partial(multiply, left, right), clock) for _ in range(repeats)
    ]


if __name__ == "__main__":
    sys.exit(command_line.run(main))
