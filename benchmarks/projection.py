"""The time, temporaries and persistent state that projection adds to an Adam step.

    python -m benchmarks.projection

There are 50 M float32 parameters in 12 leaves, and the whole update is jitted with
donated parameters and state. All variants run in turn, step by step. The ratio to Adam
alone is that of the mean step in each round of 16 steps.

**Floor.** Adam streams seven arrays per parameter (reads p, g, m, v; writes p, m, v).
The projected weights cannot be written before the norm of p + u is known, so p + u is
written once and read once more. That is nine arrays, 9/7 = 1.29 times Adam, if only
memory bandwidth counts. With `every=16` there is one more read of p in sixteen steps:
1.01 times.

XLA's CPU scheduler is breadth-first by default: it computes p + u of all leaves before
it finishes any, so all of them are held at once. The memory-optimised scheduler
(`jax.jit(..., compiler_options=MEMORY_SCHEDULER)`) finishes leaf after leaf. Both are
reported; the option is for the CPU backend only.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

import nap_optax
from benchmarks.machine import memory_bandwidth
from benchmarks.options import Parser, count
from experiments.harness import command_line

MEMORY_SCHEDULER = {
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
}
NUM_LEAVES = 12
LEAF_SHAPE = (2048, 2048)
LEAF_BYTES = 4 * LEAF_SHAPE[0] * LEAF_SHAPE[1]
Leaves = list[jax.Array]
ADAM_ARRAYS = 7


def variants() -> dict[str, optax.GradientTransformation]:
    adam = optax.adam(1e-3)
    return {
        "adam": adam,
        "adam + project_weights()": optax.chain(adam, nap_optax.project_weights()),
        "adam + project_weights(every=16)": optax.chain(
            adam, nap_optax.project_weights(every=16)
        ),
    }


def random_leaves(
    seed: int, shape: tuple[int, int] = LEAF_SHAPE, dtype: Any = jnp.float32
) -> Leaves:
    keys = jax.random.split(jax.random.key(seed), NUM_LEAVES)
    return [jax.random.normal(key, shape, dtype) for key in keys]


class Run:
    """One variant: its compiled step, its parameters and state, and its times."""

    def __init__(
        self,
        tx: optax.GradientTransformation,
        params: Leaves,
        grads: Leaves,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Compiles the step; copies the parameters, because a step donates them."""

        def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        self.params = jax.tree.map(jnp.copy, params)
        self.state = jax.jit(tx.init)(self.params)
        self.grads = grads
        lowered = jax.jit(step, donate_argnums=(0, 1), compiler_options=options).lower(
            self.params, self.state, self.grads
        )
        self.step: Any = lowered.compile()
        memory: Any = self.step.memory_analysis()
        self.temporary_leaves = memory.temp_size_in_bytes / params[0].nbytes
        self.seconds: list[float] = []

    def timed_step(self) -> float:
        """Seconds of one step."""
        start = time.perf_counter()
        self.params, self.state = self.step(self.params, self.state, self.grads)
        jax.block_until_ready((self.params, self.state))
        return time.perf_counter() - start


def report(options: dict[str, Any] | None, rounds: int, steps: int) -> None:
    params, grads = random_leaves(0), random_leaves(1)
    runs = {name: Run(tx, params, grads, options) for name, tx in variants().items()}
    for run in runs.values():
        run.timed_step()  # warms the caches and the allocator
    for _ in range(rounds):
        # In turn, step by step, so that other work of the machine affects all alike.
        turns = [[run.timed_step() for run in runs.values()] for _ in range(steps)]
        for run, seconds in zip(runs.values(), zip(*turns, strict=True), strict=True):
            run.seconds.append(sum(seconds) / steps)
    adam = runs["adam"]
    for name, run in runs.items():
        ratios = [a / b for a, b in zip(run.seconds, adam.seconds, strict=True)]
        print(
            f"{name:36}{1e3 * statistics.median(run.seconds):8.1f} ms"
            f"{statistics.median(ratios):8.2f} x"
            f"{min(run.seconds) / min(adam.seconds):8.2f} x"
            f"{run.temporary_leaves:10.2f}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.projection", __doc__)
    parser.add_argument("--rounds", type=count(), default=15)
    # A multiple of 16, so that every round has the same number of restorations.
    parser.add_argument("--steps", type=count(), default=16, help="steps in a round")
    args = parser.parsed(argv)

    bandwidth = memory_bandwidth()
    adam_bytes = ADAM_ARRAYS * NUM_LEAVES * LEAF_BYTES
    floor = adam_bytes / bandwidth
    print(
        f"memory bandwidth {bandwidth / 1e9:.1f} GB/s; floor of an Adam step "
        f"{1e3 * floor:.1f} ms; floors of the ratio 1.29 (every=1), 1.01 (every=16)"
    )
    for title, options in (
        ("memory-optimised scheduler", MEMORY_SCHEDULER),
        ("default scheduler", None),
    ):
        print(
            f"\n{title:36}{'median':>11}{'ratio':>10}{'of minima':>10}"
            f"{'temp. leaves':>14}"
        )
        report(options, args.rounds, args.steps)
    state = optax.tree.size(nap_optax.project_weights().init(random_leaves(0)))
    print(
        f"\npersistent state of project_weights(): {state} scalars "
        f"for {NUM_LEAVES} leaves (one each and the step)"
    )


if __name__ == "__main__":
    sys.exit(command_line.run(main))
