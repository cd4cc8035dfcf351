"""Agents on Atari against other implementations, in steps a second and in memory.

    python -m benchmarks.atari

DQN with one network, padding, batch, optimizer and size of replay, its steps stored and
handed to the device in three ways, and Rainbow in two (`benchmarks/atari/peers.py`).
Each agent is a process of its own, bound to the first core that there is (`taskset`
chooses); they take turns, and ratios are paired within a round. Times are those that a
process has the core to itself, so that other work on the machine counts little. Then
the parts of ours: the environment beside gymnasium's, a draw of a batch, an update
beside PyTorch's where that is installed, and projection with a cyclic rate as a share
of an update. `--memory-at` measures memory alone, with replays of such sizes
that are filled with copies of one step.
"""

import dataclasses
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.atari.ours import Ours, bytes_per_step
from benchmarks.atari.peers import gymnasium_game
from benchmarks.atari.setting import STACK, Setting
from benchmarks.atari.torch_update import torch_update
from benchmarks.options import Parser, count
from benchmarks.ratios import ratio
from experiments.atari.config import Config
from experiments.atari.emulated.programs import Learning, Moment, Programs
from experiments.atari.environments.ale import Protocol
from experiments.atari.environments.games_at_once import GamesAtOnce
from experiments.atari.family import FAMILY
from experiments.atari.replay import rows as ring
from experiments.atari.replay.rows import Batch
from experiments.harness import command_line
from experiments.harness.members import hyperparameters

KINDS = {
    "dqn": {
        "ours": "ours",
        "stacked": "stacked observations, as CleanRL",
        "transitions": "objects of transitions, as DQN Zoo",
    },
    "rainbow": {
        "ours": "ours",
        "prioritized": "objects of transitions, as DQN Zoo",
    },
}
"""Structures of each agent, ours first."""


class Worker:
    """A process of `benchmarks.atari.worker`."""

    def __init__(self, kind: str, core: int, setting: Setting) -> None:
        arguments = [kind, str(core), json.dumps(setting._asdict())]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.atari.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, num_steps: int) -> dict[str, float]:
        """Runs some steps; returns their seconds and the memory of the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{num_steps}\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def compare_agents(setting: Setting, core: int, num_steps: int, rounds: int) -> None:
    """Prints steps a second, their ratios to the others', and memory."""
    kinds = KINDS[setting.agent]
    workers = {kind: Worker(kind, core, setting) for kind in kinds}
    answers: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for kind, worker in workers.items():
        worker.run(2 * setting.steps_per_update)  # fills its replay, and compiles
        print(f"{kind} is ready", file=sys.stderr)
    for _ in range(rounds):
        for kind, worker in workers.items():
            answers[kind].append(worker.run(num_steps))
    for worker in workers.values():
        worker.close()
    print(f"{setting.agent}, 1 update per {setting.steps_per_update} steps")
    times = {kind: [own["seconds"] for own in answers[kind]] for kind in kinds}
    for kind, words in kinds.items():
        memory = max(own["memory"] for own in answers[kind]) / 1e6
        line = f"  {words}: {num_steps / min(times[kind]):.0f} steps/s, {memory:.0f} MB"
        if kind != "ours":
            line += f"; ours is {ratio(times[kind], times['ours'])} as fast"
        print(line, flush=True)


def compare_memory(setting: Setting, core: int) -> None:
    """Prints the memory of each, one after the other, after two updates."""
    print(f"{setting.agent}, a replay of {setting.replay_steps:,} steps")
    ours = 0.0
    for kind, words in KINDS[setting.agent].items():
        worker = Worker(kind, core, setting._replace(fills_by_playing=False))
        memory = worker.run(2 * setting.steps_per_update)["memory"] / 1e6
        worker.close()
        ours = ours or memory
        print(f"  {words}: {memory:.0f} MB; ours takes {ours / memory:.2f} of it")


def compare_environments(game: str, num_steps: int, rounds: int) -> None:
    """Prints the steps of games in a second, without an agent."""
    games = GamesAtOnce(game, np.array([0]), Protocol(), STACK)
    games.reset()
    env = gymnasium_game(game)
    env.reset(seed=0)
    generator = np.random.default_rng(0)

    def ours() -> None:
        for action in generator.integers(games.num_actions, size=num_steps):
            games.step(np.array([action]))

    def theirs() -> None:
        for action in generator.integers(games.num_actions, size=num_steps):
            _, _, terminated, truncated, _ = env.step(int(action))
            if terminated or truncated:
                env.reset()

    times = in_turns({"ours": ours, "gymnasium": theirs}, rounds)
    ours_rate, theirs_rate = (num_steps / min(own) for own in times.values())
    print(
        f"environment: {ours_rate:.0f} steps/s, gymnasium {theirs_rate:.0f}; ours is "
        f"{ratio(times['gymnasium'], times['ours'])} as fast"
    )


def measure_replay(setting: Setting, num_draws: int, rounds: int) -> None:
    """Prints the size of a step, and the time of a batch."""
    agent = Ours(setting)
    agent.fill(setting.replay_steps)
    replay, generator = agent.member.replay, np.random.default_rng(0)

    def draw() -> None:
        for _ in range(num_draws):
            replay.sample(generator, setting.batch_size)

    seconds = min(in_turns({"draw": draw}, rounds)["draw"]) / num_draws
    print(
        f"replay: {bytes_per_step(setting):,.0f} bytes a step, "
        f"{1e3 * seconds:.2f} ms for a batch of {setting.batch_size}"
    )


def compare_updates(setting: Setting, num_updates: int, rounds: int) -> None:
    """Prints the time of an update of DQN beside PyTorch's, from the same weights."""
    if importlib.util.find_spec("torch") is None:
        print("update beside PyTorch: not measured (pip install torch)")
        return
    agent = Ours(setting)
    agent.fill(setting.replay_steps)
    batch = agent.member.replay.sample(np.random.default_rng(0), setting.batch_size)
    key = jax.random.key(0)
    learning = agent.programs.init(key, hyperparameters(agent.config))
    observations, following = map(np.array, ring.observations(batch, STACK))
    theirs = torch_update(
        learning.learner.params,
        setting,
        (
            observations,
            batch.actions,
            batch.rewards[:, 0],
            batch.discounts[:, 0],
            following,
        ),
    )
    ours = updating(agent.programs, learning, batch, num_updates)
    times = in_turns({"ours": ours, "torch": lambda: theirs(num_updates)}, rounds)
    per_update = {name: 1e3 * min(own) / num_updates for name, own in times.items()}
    print(
        f"update beside PyTorch: {per_update['ours']:.1f} ms, "
        f"{per_update['torch']:.1f}; ours takes "
        f"{ratio(times['ours'], times['torch'])} the time"
    )


def updating(
    programs: Programs, learning: Learning, batch: Batch, num_updates: int
) -> Callable[[], None]:
    """A function that makes some more updates on a batch at each call."""
    hyper, key = hyperparameters(programs.config), jax.random.key(0)

    def run() -> None:
        nonlocal learning
        for index in range(num_updates):
            moment = Moment(key, 1, index)
            learning, _ = programs.update(
                learning, hyper, batch, 1000, moment, measures=False
            )
        jax.block_until_ready(learning)

    return run


def measure_projection(setting: Setting, num_updates: int, rounds: int) -> None:
    """Prints the cost of projection and a cyclic rate in an update."""
    agent = Ours(setting)
    agent.fill(setting.replay_steps)
    batch = agent.member.replay.sample(np.random.default_rng(0), setting.batch_size)
    plain = dataclasses.replace(agent.config, normalize=True)
    configs = {
        "plain": plain,
        "projected": dataclasses.replace(
            plain, project=True, learning_rate_schedule="cyclic"
        ),
    }

    def begun(config: Config) -> Callable[[], None]:
        programs = Programs(config)
        learning = programs.init(jax.random.key(0), hyperparameters(config))
        return updating(programs, learning, batch, num_updates)

    times = in_turns({name: begun(own) for name, own in configs.items()}, rounds)
    shares = [
        b / a - 1 for a, b in zip(times["plain"], times["projected"], strict=True)
    ]
    print(
        f"update: {1e3 * min(times['plain']) / num_updates:.1f} ms; projection and a "
        f"cyclic rate add {statistics.median(shares):.1%} "
        f"[{min(shares):.1%}, {max(shares):.1%}]"
    )


def in_turns(
    runs: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of the core for each run in each round, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            started = time.process_time()
            run()
            if round_:
                times[name].append(time.process_time() - started)
    return times


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.atari", __doc__)
    parser.add_argument("--replay-steps", type=count(at_least=1_000), default=20_000)
    parser.add_argument("--steps", type=count(at_least=8), default=200, help="a round")
    parser.add_argument("--rounds", type=count(), default=7)
    parser.add_argument(
        "--steps-per-update", type=count(at_most=1_000), nargs="+", default=[4, 1]
    )
    parser.add_argument("--agents", choices=KINDS, nargs="+", default=[*KINDS])
    parser.add_argument("--memory-at", type=count(at_least=1_000), nargs="*")
    parser.add_argument(
        "--same-compiler",
        action="store_true",
        help="compile the others, and keep their freed memory, as ours",
    )
    args = parser.parsed(argv)
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    FAMILY.prepare()
    setting = Setting(replay_steps=args.replay_steps, same_compiler=args.same_compiler)
    if args.memory_at:
        for replay_steps in args.memory_at:
            compare_memory(setting._replace(replay_steps=replay_steps), core)
        return
    for agent in args.agents:
        for steps_per_update in args.steps_per_update:
            own = setting._replace(agent=agent, steps_per_update=steps_per_update)
            compare_agents(own, core, args.steps, args.rounds)
    compare_environments(setting.game, args.steps, args.rounds)
    measure_replay(setting, args.steps, args.rounds)
    num_updates = max(2, args.steps // 20)
    compare_updates(setting, num_updates, args.rounds)
    measure_projection(setting, num_updates, args.rounds)


if __name__ == "__main__":
    sys.exit(command_line.run(main))
