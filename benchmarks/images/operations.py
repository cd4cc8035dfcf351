"""Times each operation of an image model's training step alone, on one core.

    taskset -c 0 python -m benchmarks.images.operations [--model cifar_cnn | resnet18]

It takes apart the step of `benchmarks.images.step`: every convolution and dense layer
forward, for its kernel and for its inputs, every normalisation with a ReLU, and Adam.
An operation alone has its inputs ready in its best layout, so the sum is the least time
of XLA's operators. A whole step also needs transpositions, additions and copies. As in
the step, operations of the trunk get a slice of the batch and count once for each
slice, and XLA's options are those of the harness. The time of an empty call is
subtracted. With PyTorch installed (`pip install -e '.[bench]'`), its whole step is
timed in the same rounds.
"""

import collections
import functools
import importlib.util
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import jax
import optax
from flax import nnx

from benchmarks.images.peer import torch_step
from benchmarks.images.step import STEPS_IN_A_ROUND, build, options_of, random_batch
from benchmarks.options import MOST_IMAGES, Parser, count
from experiments.harness import command_line
from experiments.harness.backend import examples_at_once
from experiments.harness.timing import seconds_in_turns
from models.images import ImageClassifier
from models.layers import relu
from models.normalization import ChannelNorm

LAYERS = (nnx.Conv, nnx.Linear, ChannelNorm)
DISPATCH = "a call that computes nothing"
PEER = "PyTorch's whole step"


class Operation(NamedTuple):
    """One operation of a step."""

    kind: str
    """Kind of operation, by which times are summed."""
    layer: str
    times: int
    """Number of times that a step computes it."""
    run: Callable[[], Any]


def calls(fn: Callable[[jax.Array], Any], x: jax.Array) -> list[tuple[Any, jax.Array]]:
    """The layers that a function calls, in order, and their inputs."""
    found: list[tuple[Any, jax.Array]] = []

    def recording(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(layer: Any, inputs: jax.Array) -> Any:
            found.append((layer, inputs))
            return original(layer, inputs)

        return call

    with ExitStack() as patches:
        for kind in LAYERS:
            call = recording(kind.__call__)
            patches.enter_context(mock.patch.object(kind, "__call__", call))
        fn(x)
    return found


def of_layer(
    name: str, layer: Any, inputs: jax.Array, times: int, jit: Any, *, first: bool
) -> Iterator[Operation]:
    """Operations of a layer: forward, and backward for parameters and for inputs.

    There is no gradient for images.
    """
    graph, params = nnx.split(layer)
    inputs = jax.random.normal(jax.random.key(0), inputs.shape)

    def apply(params: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, params)(x)

    if isinstance(layer, ChannelNorm):
        both = jit(lambda p, x, g: jax.vjp(lambda p, x: relu(apply(p, x)), p, x)[1](g))
        yield Operation(
            "normalisation and ReLU, both ways",
            name,
            times,
            lambda: both(params, inputs, inputs),
        )
        return
    outputs = apply(params, inputs)
    forward = jit(apply)
    # The outputs themselves are not used, so they are not computed.
    for_params = jit(lambda p, x, g: jax.vjp(apply, p, x)[1](g)[0])
    for_inputs = jit(lambda p, x, g: jax.vjp(apply, p, x)[1](g)[1])
    kind = "convolution" if isinstance(layer, nnx.Conv) else "dense layer"
    yield Operation(f"{kind}, forward", name, times, lambda: forward(params, inputs))
    yield Operation(
        f"{kind}, for the kernel",
        name,
        times,
        lambda: for_params(params, inputs, outputs),
    )
    if not first:
        yield Operation(
            f"{kind}, for the inputs",
            name,
            times,
            lambda: for_inputs(params, inputs, outputs),
        )


def operations(model: ImageClassifier, batch: int) -> Iterator[Operation]:
    """All operations of a step."""
    jit = functools.partial(jax.jit, compiler_options=options_of(model))
    names = {id(module): path for path, module in nnx.iter_modules(model)}
    images = jax.random.normal(jax.random.key(0), (batch, *model.image_shape))
    at_once = examples_at_once(batch)
    found = calls(lambda images: model.apply_in_slices(images, at_once), images)
    times = collections.Counter(id(layer) for layer, _ in found)
    inputs = {id(layer): (layer, inputs) for layer, inputs in reversed(found)}
    for index, key in enumerate(times):
        name = ".".join(map(str, names[key]))
        yield from of_layer(name, *inputs[key], times[key], jit, first=index == 0)

    params = nnx.state(model, nnx.Param)
    tx = optax.adam(1e-3)
    state = tx.init(params)

    @jit
    def adam(params: Any, state: Any) -> Any:
        updates, state = tx.update(params, state, params)
        return optax.apply_updates(params, updates), state

    yield Operation("Adam", "", 1, lambda: adam(params, state))


def with_peer(runs: dict[str, Callable[[], Any]], model: str, batch: int) -> None:
    """Adds PyTorch's step on one core, if PyTorch is installed."""
    if importlib.util.find_spec("torch") is None:
        return
    step = torch_step(
        build(model), *random_batch(batch), learning_rate=1e-3, num_threads=1
    )
    runs[PEER] = lambda: step(1)


def report(
    found: list[Operation], times: dict[str, list[float]], *, by_layer: bool
) -> None:
    """Prints the medians of a step's operations, and their sum."""
    median = {name: 1e3 * statistics.median(runs) for name, runs in times.items()}
    sums: dict[str, float] = collections.defaultdict(float)
    for index, operation in enumerate(found):
        own = operation.times * (median[str(index)] - median[DISPATCH])
        sums[operation.kind] += own
        if by_layer:
            name = f"{operation.kind}, {operation.layer}".rstrip(", ")
            print(f"{own:8.2f} ms  {name}")
    for kind, own in sorted(sums.items(), key=lambda item: -item[1]):
        print(f"{own:8.2f} ms  {kind}, all")
    total = sum(sums.values())
    print(f"{total:8.2f} ms  all, one after the other")
    if PEER in median:
        ratio = total / median[PEER]
        print(f"{median[PEER]:8.2f} ms  {PEER}; all take {ratio:.2f} times that")


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.images.operations", __doc__)
    models = list(STEPS_IN_A_ROUND)
    parser.add_argument("--model", choices=models, default=models[0])
    parser.add_argument("--batch", type=count(MOST_IMAGES), default=128)
    parser.add_argument("--rounds", type=count(), default=15)
    parser.add_argument("--layers", action="store_true", help="print every operation")
    args = parser.parsed(argv)
    found = list(operations(build(args.model), args.batch))
    runs = {str(index): operation.run for index, operation in enumerate(found)}
    runs[DISPATCH] = jax.jit(lambda: 0)
    with_peer(runs, args.model, args.batch)
    for run in runs.values():
        jax.block_until_ready(run())  # compiles
    times = seconds_in_turns(runs, num_rounds=args.rounds)
    report(found, times, by_layer=args.layers)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
