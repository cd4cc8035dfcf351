"""Agents on MinAtar: matrix products against `lax.conv`, and seeds in one program.

    python -m benchmarks.minatar

It times DQN on Breakout, with game, replay, agent and updates in one loop, compiled as
by the harness, and the same loop with XLA's convolution. Then it times several seeds as
one program, one after the other (as the harness maps them on this backend) and
vectorised, against as many single runs. The runs take turns; ratios are paired within a
round, and compilation is not counted.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import jax

from benchmarks.options import Parser, count
from benchmarks.ratios import ratio
from benchmarks.sweep import at_once, compiled, one_after_the_other
from experiments.atari.config import Config
from experiments.atari.experiment import Experiment
from experiments.atari.family import FAMILY
from experiments.harness import command_line
from experiments.harness.config import MOST_SEEDS
from experiments.harness.family import require_machine
from experiments.harness.members import init_members
from models import atari_q_networks

CONVOLUTION_FLOOR = 2.5
"""Least factor by which the loop should be faster than with `lax.conv`."""


def loop(
    config: Config, num_seeds: int, rounds: int, map_members: Callable[..., Any]
) -> Callable[[], Any]:
    """A compiled function that runs some rounds of several seeds."""
    experiment = Experiment(config)
    members = init_members(
        experiment,
        [dataclasses.replace(config, seed=seed) for seed in range(num_seeds)],
    )
    return compiled(experiment, members, map_members, rounds)


def with_lax_conv(config: Config, rounds: int) -> Callable[[], Any]:
    """The same loop for one seed, with XLA's convolution."""
    convolve = jax.lax.conv_general_dilated
    with mock.patch.object(atari_q_networks, "convolve_small", convolve):
        return loop(config, 1, rounds, one_after_the_other)


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.minatar", __doc__)
    parser.add_argument("--seeds", type=count(MOST_SEEDS), default=5)
    parser.add_argument(
        "--updates", type=count(), default=250, help="updates in a turn"
    )
    parser.add_argument("--turns", type=count(), default=7)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="processor time of the process, bound to a core, beside other work",
    )
    args = parser.parsed(argv)
    config = Config(learning_starts_frames=200, replay_steps=20_000)
    require_machine(FAMILY, config, args.seeds)
    rounds = args.updates
    ours = loop(config, 1, rounds, one_after_the_other)
    runs = {
        "ours": ours,
        "lax.conv": with_lax_conv(config, rounds),
        "single": lambda: [ours() for _ in range(args.seeds)],
        "mapped": loop(config, args.seeds, rounds, one_after_the_other),
        "vectorised": loop(config, args.seeds, rounds, at_once),
    }
    for run in runs.values():
        run()  # warms the caches
    times: dict[str, list[float]] = {name: [] for name in runs}
    clock = time.process_time if args.processor_time else time.perf_counter
    for _ in range(args.turns):
        for name, run in runs.items():
            start = clock()
            run()
            times[name].append(clock() - start)
    steps = rounds * config.round_steps
    print(f"one seed: {steps / min(times['ours']):,.0f} steps of the agent a second")
    print(
        f"with lax.conv: {ratio(times['lax.conv'], times['ours'])} the time "
        f"(to be {CONVOLUTION_FLOOR} at least)"
    )
    for name in ("mapped", "vectorised"):
        print(
            f"{args.seeds} seeds, {name}: {ratio(times[name], times['single'])} the "
            "single runs"
        )


if __name__ == "__main__":
    sys.exit(command_line.run(main))
