"""An agent in a process of its own: it runs some steps for each line that it reads.

    python -m benchmarks.atari.worker KIND CORE SETTING

The setting is JSON. It answers each number of steps with JSON: the seconds of its core
that they took, and the memory of the process without pages of files.
"""

import json
import os
import sys
import time


def private_memory() -> int:
    """Bytes of the process itself; pages of files belong to the system."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return 1024 * int(lines["RssAnon"].split()[0])


def main() -> None:
    kind, core, setting_text = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})  # before jax starts its threads
    from benchmarks.atari.ours import Ours
    from benchmarks.atari.peers import StackedArrays, Transitions
    from benchmarks.atari.rainbow_peer import PrioritizedTransitions
    from benchmarks.atari.setting import Setting
    from experiments.atari.family import FAMILY

    setting = Setting(**json.loads(setting_text))
    if kind == "ours" or setting.same_compiler:  # as our runs begin
        FAMILY.prepare()
    kinds = {
        "ours": Ours,
        "stacked": StackedArrays,
        "transitions": Transitions,
        "prioritized": PrioritizedTransitions,
    }
    agent = kinds[kind](setting)
    agent.fill(setting.replay_steps)
    for line in sys.stdin:
        started = time.process_time()
        agent.run(int(line))
        seconds = time.process_time() - started
        print(json.dumps({"seconds": seconds, "memory": private_memory()}), flush=True)


if __name__ == "__main__":
    main()
