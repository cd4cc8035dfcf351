"""The operations of the CNN's training step, each timed alone, on one core.

    taskset -c 0 python -m benchmarks.image_operations

What `benchmarks.image_step` times together is here taken apart: every convolution and
dense layer forward, for its kernel and for its inputs, every normalisation with its
ReLU, and Adam. An operation alone has its inputs in place and in the layout it likes,
so the sum is what XLA's operators take at best; a step that is put together from them
needs transpositions and copies besides.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import nnx

from experiments.harness.timing import seconds_in_turns
from models import CifarCNN

Operations = dict[str, Callable[[], Any]]


def of_layer(name: str, layer: Any, inputs: jax.Array, *, first: bool) -> Operations:
    """Forward, and backward for the parameters and the inputs (not of images)."""
    graph, params = nnx.split(layer)

    def apply(params: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, params)(x)

    outputs = jax.jit(apply)(params, inputs)
    forward = jax.jit(apply)
    for_params = jax.jit(
        lambda x, g: jax.linear_transpose(lambda p: apply(p, x), params)(g)
    )
    for_inputs = jax.jit(
        lambda p, g: jax.linear_transpose(lambda x: apply(p, x), inputs)(g)
    )
    operations: Operations = {
        f"{name}, forward": lambda: forward(params, inputs),
        f"{name}, for the kernel": lambda: for_params(inputs, outputs),
    }
    if not first:
        operations[f"{name}, for the inputs"] = lambda: for_inputs(params, outputs)
    return operations


def of_norm(name: str, norm: Any, inputs: jax.Array) -> Operations:
    """With its ReLU: forward, then both ways together."""
    graph, params = nnx.split(norm)

    def apply(params: Any, x: jax.Array) -> jax.Array:
        return jax.nn.relu(nnx.merge(graph, params)(x))

    both = jax.jit(lambda p, x, g: jax.vjp(apply, p, x)[1](g))
    return {f"{name} and ReLU, both ways": lambda: both(params, inputs, inputs)}


def operations(batch: int) -> Operations:
    """All of a step."""
    model = CifarCNN(rngs=nnx.Rngs(0))
    images = jax.random.normal(jax.random.key(0), (batch, *model.image_shape))
    found: Operations = {}
    h = images
    for index in range(3):
        convolution = getattr(model, f"conv_{index}")
        norm = getattr(model, f"norm_{index}")
        name = f"convolution {index}"
        found |= of_layer(name, convolution, h, first=index == 0)
        h = convolution(h)
        found |= of_norm(f"normalisation {index}", norm, h)
        h = jax.nn.relu(norm(h))
    h = h.reshape(batch, -1)
    found |= of_layer("hidden layer", model.hidden, h, first=False)
    h = jax.nn.relu(model.hidden(h))
    found |= of_layer("logits", model.logits, h, first=False)

    params = nnx.state(model, nnx.Param)
    tx = optax.adam(1e-3)
    state = tx.init(params)

    @jax.jit
    def adam(params: Any, state: Any) -> Any:
        updates, state = tx.update(params, state, params)
        return optax.apply_updates(params, updates), state

    return found | {"Adam": lambda: adam(params, state)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    runs = operations(args.batch)
    for run in runs.values():
        jax.block_until_ready(run())  # compiles
    times = seconds_in_turns(runs, num_rounds=args.rounds)
    for name, seconds in times.items():
        print(
            f"{name:34}{1e3 * statistics.median(seconds):8.2f} ms in the median, "
            f"{1e3 * min(seconds):6.2f} at best"
        )
    median = sum(statistics.median(seconds) for seconds in times.values())
    best = sum(min(seconds) for seconds in times.values())
    print(f"{'all, one after the other':34}{1e3 * median:8.2f} ms, {1e3 * best:6.2f}")


if __name__ == "__main__":
    main()
