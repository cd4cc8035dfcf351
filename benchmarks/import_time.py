"""What `import nap_optax` adds to `import optax`: milliseconds and modules.

    python -m benchmarks.import_time

Each round starts a new interpreter. CPython's collector walks all objects that optax's
import made once enough new ones follow: whatever comes next pays for that (some 50 ms
here). So the time is taken twice: as it falls, and with that collection done before.
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
imported = time.perf_counter()
new = sorted(set(sys.modules) - before)
print(json.dumps([1e3 * (imported - start), new]))
"""


def measure(prepare: str) -> tuple[float, list[str]]:
    """Milliseconds of the import, and the modules it loads."""
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(prepare=prepare)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    milliseconds, modules = json.loads(output)
    return milliseconds, modules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    modules: list[str] = []
    for title, prepare in (("as it falls", ""), ("collected before", "gc.collect()")):
        found = [measure(prepare) for _ in range(rounds)]
        times = [milliseconds for milliseconds, _ in found]
        _, modules = found[0]
        print(
            f"{title}: median {statistics.median(times):.1f} ms, most "
            f"{max(times):.1f} ms"
        )
    foreign = [name for name in modules if name.split(".")[0] != "nap_optax"]
    print(f"modules loaded besides its own: {', '.join(foreign) or 'none'}")


if __name__ == "__main__":
    main()
