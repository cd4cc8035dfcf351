"""`python -m experiments.export`: from flags to the metrics of runs in trackers."""

import dataclasses
import sys
from pathlib import Path

import tyro

from experiments.harness import found_runs
from experiments.harness.checks import check
from experiments.harness.command_line import parse, run
from experiments.harness.messages import UserError, warn
from experiments.harness.trackers import exporting, registry

PROG = "python -m experiments.export"


@dataclasses.dataclass(frozen=True)
class Options:
    """Logs the metrics of runs on disk to trackers, whatever state the runs are in.

    It logs every recorded step and replaces or completes what a tracker has of a run,
    so it may be repeated.
    """

    directories: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Directories to look for runs in."""
    to: tuple[registry.Name, ...] = ()
    """Trackers that get the metrics."""
    parts: bool = False
    """Also logs the parts of a group that has been put together, and a group that a
    larger one holds."""

    def __post_init__(self) -> None:
        """Checks that there is something to do.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        if not self.directories:
            raise ValueError("name one directory of runs or more")
        check("to", self.to, bool(self.to), "one tracker or more")


def main() -> None:
    """Parses, finds and logs; prints each run directory when it is done.

    Raises:
      UserError: a tracker is not installed, or there is nothing to log.
      SystemExit: with code 1 if some run was not logged; a line says why.
    """
    options = parse(Options, prog=PROG)
    registry.require(options.to)
    paths = [*found_runs.find(options.directories, parts=options.parts)]
    if not paths:
        listed = ", ".join(map(str, options.directories))
        raise UserError(f"there are no runs in {listed}: name another directory")
    done = [_export(path, name) for path in paths for name in dict.fromkeys(options.to)]
    if not all(done):
        sys.stdout.flush()
        raise SystemExit(1)


def _export(path: Path, name: str) -> bool:
    """Exports one run; an error of its tracker becomes a warning.

    Returns:
      Whether the run was logged.
    """
    try:
        exporting.export(path, name)
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        warn(f"{path} was not logged to {name}: {kind}{error}")
        return False
    print(path / name)
    return True


if __name__ == "__main__":
    sys.exit(run(main))
