"""A batch of seeds, one after the other or vectorised, against single runs.

    python -m benchmarks.sweep

It trains the grokking network at the paper's size. One program runs the members of a
batch as the harness does on this backend. The single run is the same program with one
member, called once for each seed. Compilation is not counted (single runs of one
process would also share it). The runs take turns; ratios are paired within a round.
"""

import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

from benchmarks.options import Parser, count
from experiments.grokking.config import Config
from experiments.grokking.experiment import Experiment as GrokkingExperiment
from experiments.grokking.family import FAMILY as GROKKING
from experiments.harness import command_line
from experiments.harness.config import MOST_SEEDS
from experiments.harness.family import require_machine
from experiments.harness.members import Experiment, Members, init_members


def compiled(
    experiment: Experiment,
    members: Members,
    map_members: Callable[..., Any],
    num_steps: int,
    *shared: Any,
) -> Callable[[], Any]:
    """A compiled function that runs some steps of all members, mapped in some way."""

    def run(shared: Any, state: Any, hyper: Any, fixed: Any) -> Any:
        def step(carry: Any, _: Any) -> tuple[Any, None]:
            return experiment.step(carry, hyper, fixed, *shared), None

        return jax.lax.scan(step, state, length=num_steps)[0]

    @jax.jit
    def run_all(shared: Any, members: Members) -> Any:
        return map_members(functools.partial(run, shared), members)

    program = run_all.lower(shared, members).compile()
    return lambda: jax.block_until_ready(program(shared, members))


def grokking_members(config: Config, num: int) -> Members:
    """Members with several seeds of one config."""
    configs = [dataclasses.replace(config, seed=seed) for seed in range(num)]
    return init_members(GrokkingExperiment(config), configs)


def one_after_the_other(run: Callable[..., Any], args: Any) -> Any:
    """Maps members one after the other, as the harness does on a CPU."""
    return jax.lax.map(lambda member: run(*member), args)


def at_once(run: Callable[..., Any], args: Any) -> Any:
    """Maps members at once, as the harness does on an accelerator."""
    return jax.vmap(run)(*args)


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.sweep", __doc__)
    parser.add_argument("--seeds", type=count(MOST_SEEDS), default=8)
    parser.add_argument("--steps", type=count(), default=5, help="steps of each seed")
    parser.add_argument("--rounds", type=count(), default=7)
    args = parser.parsed(argv)
    require_machine(GROKKING, Config(), args.seeds)
    experiment = GrokkingExperiment(Config())
    seeds = range(args.seeds)
    one, all_of_them = (grokking_members(Config(), num) for num in (1, args.seeds))
    single = compiled(experiment, one, one_after_the_other, args.steps)
    batches = {
        "batch, one after the other": one_after_the_other,
        "batch, vectorised": at_once,
    }
    runs = {
        name: compiled(experiment, all_of_them, map_members, args.steps)
        for name, map_members in batches.items()
    }
    for run in (single, *runs.values()):
        run()  # warms the caches
    alone: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        alone.append(sum(seconds(single) for _ in seeds))
        for name, run in runs.items():
            times[name].append(seconds(run))
    updates = args.seeds * args.steps
    print(f"{args.seeds} single runs: {1e3 * min(alone) / updates:.1f} ms an update")
    for name, own in times.items():
        ratios = [a / b for a, b in zip(own, alone, strict=True)]
        print(
            f"{name}: {1e3 * min(own) / updates:.1f} ms an update, "
            f"{statistics.median(ratios):.2f} x the single runs "
            f"[{min(ratios):.2f}, {max(ratios):.2f}]"
        )


if __name__ == "__main__":
    sys.exit(command_line.run(main))
