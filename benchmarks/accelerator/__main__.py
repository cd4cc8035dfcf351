"""`python -m benchmarks.accelerator`: runs the sections, one after the other."""

import functools
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

import benchmarks.accelerator as package
from benchmarks.accelerator import (
    atari,
    ceilings,
    grokking,
    images,
    projection,
    warm_start,
)
from benchmarks.accelerator.figures import Figures
from benchmarks.options import Parser, output
from experiments.harness import command_line, environment
from experiments.harness.messages import UserError

SECTIONS: dict[str, Callable[[bool], Figures]] = {
    "ceilings": ceilings.ceilings,
    "projection": projection.projection,
    "grokking": grokking.speed,
    "warm-start": warm_start.speed,
    "cifar-cnn": functools.partial(images.step, "cifar_cnn"),
    "resnet18": functools.partial(images.step, "resnet18"),
    "dqn": functools.partial(atari.updates, "dqn"),
    "rainbow": functools.partial(atari.updates, "rainbow"),
    "replay": atari.replay,
    "minatar": atari.minatar,
    "bits": grokking.bits,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the sections; if one fails, prints why and goes on with the others."""
    parser = Parser("benchmarks.accelerator", package.__doc__)
    names = list(SECTIONS)
    parser.add_argument("--sections", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--small", action="store_true", help="small sizes, to try it on a CPU"
    )
    parser.add_argument("--out", type=output, default=Path("runs/accelerator.json"))
    args = parser.parsed(argv)
    results: dict[str, Any] = {
        "environment": environment.describe(),
        "device": jax.devices()[0].device_kind,
        "small": args.small,
    }
    print(results, flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in args.sections:
        start = time.perf_counter()
        try:
            found = SECTIONS[name](args.small)
        except UserError as error:  # a missing package is no failure
            print(f"\n{name} is left out: {error}", flush=True)
            results.setdefault("left out", {})[name] = str(error)
            _write(results, args.out)
            continue
        except Exception:  # the others go on: time on a device is expensive
            traceback.print_exc()
            failed.append(name)
            continue
        results[name] = found
        _write(results, args.out)
        print(f"\n{name} ({time.perf_counter() - start:.0f} s)")
        for what, value in found.items():
            print(f"  {what:44} {value}", flush=True)
    if len(failed) < len(args.sections):
        print(args.out)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _write(results: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
