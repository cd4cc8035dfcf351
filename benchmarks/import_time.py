"""What `import nap_optax` adds to `import optax`: milliseconds and modules.

    python -m benchmarks.import_time

Each round starts a new interpreter. CPython's collector walks all objects that optax's
import made once enough new ones follow: whichever import comes next pays for that (some
60 ms here). So the time is taken twice: as it falls, and with that collection done
before.
"""

import argparse
import json
import statistics
import subprocess
import sys

PROGRAM = """
import gc, json, sys, time
import optax
{prepare}
before, start = set(sys.modules), time.perf_counter()
import nap_optax
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


def measure(prepare: str) -> tuple[float, list[str]]:
    """Seconds and new modules of our import in an interpreter that has optax."""
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(prepare=prepare)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    seconds, modules = json.loads(output)
    return seconds, modules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    modules: list[str] = []
    for title, prepare in (("as it falls", ""), ("collected before", "gc.collect()")):
        times = []
        for _ in range(rounds):
            seconds, modules = measure(prepare)
            times.append(1e3 * seconds)
        print(
            f"import nap_optax after import optax, {title}: median "
            f"{statistics.median(times):.1f} ms, most {max(times):.1f} ms"
        )
    foreign = [name for name in modules if name.split(".")[0] != "nap_optax"]
    print(f"modules loaded besides its own: {', '.join(foreign) or 'none'}")


if __name__ == "__main__":
    main()
