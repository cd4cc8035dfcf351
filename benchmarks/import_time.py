"""The time and the modules that `import nap_optax` adds to `import optax`.

    python -m benchmarks.import_time

Each round starts a new interpreter.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.options import Parser, count
from experiments.harness import command_line

PROGRAM = """
import json, sys, time
import optax
before, start = set(sys.modules), time.perf_counter()
import nap_optax
imported = time.perf_counter()
new = sorted(set(sys.modules) - before)
print(json.dumps([1e3 * (imported - start), new]))
"""


def measure() -> tuple[float, list[str]]:
    """Milliseconds of the import, and the modules it loads."""
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    milliseconds, modules = json.loads(output)
    return milliseconds, modules


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.import_time", __doc__)
    parser.add_argument("--rounds", type=count(), default=10)
    rounds = parser.parsed(argv).rounds
    found = [measure() for _ in range(rounds)]
    times = [milliseconds for milliseconds, _ in found]
    _, modules = found[0]
    print(f"median {statistics.median(times):.1f} ms, most {max(times):.1f} ms")
    foreign = [name for name in modules if name.split(".")[0] != "nap_optax"]
    print(f"modules loaded besides its own: {', '.join(foreign) or 'none'}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
