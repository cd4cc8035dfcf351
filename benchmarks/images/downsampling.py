"""One update of the CNN that takes maxima, over that of the CNN with strides.

    python -m benchmarks.images.downsampling [--batch 100]

Both are updates of a warm-start run with projection, a normalised hidden layer and no
offsets, on random images of CIFAR-10's shape, and take turns. Compilation and
evaluations are not counted.
"""

import dataclasses
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.images.metrics import turns
from benchmarks.options import MOST_IMAGES, Parser, count
from benchmarks.ratios import ratio
from experiments.harness import command_line
from experiments.harness.timing import seconds_in_turns
from experiments.warm_start.config import Config


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.images.downsampling", __doc__)
    parser.add_argument("--batch", type=count(MOST_IMAGES), default=100)
    parser.add_argument("--rounds", type=count(), default=9)
    parser.add_argument("--updates", type=count(), default=5, help="updates in a round")
    args = parser.parsed(argv)
    strides = Config(batch_size=args.batch, normalize_hidden=True, offsets=False)
    runs: dict[str, Callable[[], Any]] = {
        config.downsampling: turns(config, args.updates)["updates"]
        for config in (strides, dataclasses.replace(strides, downsampling="max_pool"))
    }
    times = seconds_in_turns(runs, num_rounds=args.rounds)
    for name, seconds in times.items():
        print(f"{name}: {1e3 * statistics.median(seconds) / args.updates:.1f} ms")
    print(f"ratio: {ratio(times['max_pool'], times['strides'])}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
