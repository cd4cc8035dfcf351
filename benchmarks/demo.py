"""How often the demo keeps its promise, over several seeds and on one or two cores.

    python -m benchmarks.demo

It runs on Linux only, because it binds processes to cores. An interrupted benchmark
continues.

XLA's sums depend on the number of cores, and training at a high rate depends on sums.
So one seed on one machine says little.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.options import Parser, count
from experiments.grokking import outcomes
from experiments.grokking.demo import DemoConfig
from experiments.harness import command_line, environment
from experiments.harness.config import MOST_SEEDS
from experiments.harness.messages import UserError
from experiments.harness.run_files import read_rows

Run = tuple[int, tuple[int, ...]]
"""A seed, and the cores that its run may use."""
MOST_CORES = 2


def run(job: Run, directory: Path) -> Path:
    """Runs the user's command in a separate process, or continues it."""
    seed, cores = job
    path = directory / f"seed-{seed}-on-{len(cores)}"
    bound = (
        f"import os, runpy; os.sched_setaffinity(0, {set(cores)}); "
        "runpy.run_module('experiments.grokking.demo', run_name='__main__')"
    )
    arguments = [f"--seed={seed}", f"--run-directory={path}"]
    command = [sys.executable, "-c", bound, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.splitlines() or ["it said nothing"])[-1]
        raise UserError(f"the demo of seed {seed} failed: {last}")
    return path


def read(path: Path) -> dict[str, outcomes.Outcome]:
    """The outcome of each arm of one demo."""
    rows = read_rows(path / "arms")
    arms = dict.fromkeys(row["arm"] for row in rows)
    return {
        arm: outcomes.outcome([row for row in rows if row["arm"] == arm])
        for arm in arms
    }


def table(results: Mapping[Run, Mapping[str, outcomes.Outcome]]) -> str:
    """A table with a line for each run."""
    header = "| seed | cores | .99 after | lowest, last five | others at most | so |"
    lines = [header, "|---|---|---|---|---|---|"]
    start = DemoConfig().memorise_steps
    for (seed, cores), ends in results.items():
        *others, highest = ends.values()
        after = highest.first_step and highest.first_step - start
        lines.append(
            f"| {seed} | {len(cores)} | {after or 'never'} "
            f"| {highest.lowest_late:.4f} "
            f"| {max(other.highest for other in others):.3f} "
            f"| {'yes' if outcomes.is_as_promised(ends) else 'NO'} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the demos that are left, and prints a table and the odds."""
    parser = Parser("benchmarks.demo", __doc__)
    parser.add_argument("--seeds", type=count(MOST_SEEDS), default=10)
    parser.add_argument("--directory", type=Path, default=Path("runs/demo-odds"))
    options = parser.parsed(argv)
    cores = sorted(os.sched_getaffinity(0))[:MOST_CORES]
    paths: dict[Run, Path] = {}
    singly = [(seed, (cores[seed % len(cores)],)) for seed in range(options.seeds)]
    with ThreadPoolExecutor(len(cores)) as pool:
        done = pool.map(lambda job: run(job, options.directory), singly)
        paths |= dict(zip(singly, done, strict=True))
    if len(cores) > 1:
        for seed in range(options.seeds):
            job = (seed, tuple(cores))
            paths[job] = run(job, options.directory)
    results = {job: read(path) for job, path in paths.items()}
    about = environment.describe()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(table(results))
    promised = sum(outcomes.is_as_promised(ends) for ends in results.values())
    print(f"as promised: {promised} of {len(results)}")
    if promised < len(results):
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
