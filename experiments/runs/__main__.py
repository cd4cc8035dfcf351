"""`python -m experiments.runs`: from flags to a table of the runs on disk."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from experiments.harness import found_runs
from experiments.harness.command_line import parse, run
from experiments.harness.messages import UserError, tell
from experiments.runs import columns, csv_text, reading, selection, table

PROG = "python -m experiments.runs"


@dataclasses.dataclass(frozen=True)
class Options:
    """Shows the runs in and under some directories, one line for each arm and seed.

    A line has the settings in which the runs differ and their last metrics. The command
    only reads, so it may be used while runs go on.
    """

    directories: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Directories to look for runs in."""
    metrics: str = ""
    """Metrics to show, such as test_accuracy,weight_norm; by default the losses and
    accuracies there are."""
    where: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Condition on the runs to show, such as state=finished or 'learning_rate>0.01'
    (in quotes). Its name is that of a column, a setting or a metric. The option may be
    given several times."""
    sort: str = "path"
    """Column, setting or metric that orders the runs."""
    descending: bool = False
    """Shows the largest first."""
    csv: bool = False
    """Writes CSV with every digit in place of a table."""
    parts: bool = False
    """Also shows the parts of a group that has been put together, and a group that a
    larger one holds."""
    check: bool = False
    """Reads all metrics of finished runs and compares them with their digests."""

    def __post_init__(self) -> None:
        """Checks what can be checked without runs.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        if not self.directories:
            raise ValueError("name one directory of runs or more")
        for condition in self.where:
            selection.parse(condition)


def main() -> None:
    """Parses, reads and prints."""
    options = parse(Options, prog=PROG)
    paths = found_runs.find(options.directories, parts=options.parts)
    runs = [one for path in paths for one in reading.read(path, check=options.check)]
    if not runs:
        listed = ", ".join(map(str, options.directories))
        raise UserError(f"there are no runs in {listed}: name another directory")
    runs = selection.ordered(runs, options.sort, descending=options.descending)
    kept = selection.filtered(runs, options.where)
    names = [name.strip() for name in options.metrics.split(",") if name.strip()]
    shown = columns.choose(kept, names or None)
    if options.csv:
        print(csv_text.render(kept, shown), end="")
        return
    if not kept:
        tell(f"none of {len(runs)} runs meets {' and '.join(options.where)}")
        return
    left_out = table.show(kept, shown)
    if left_out:
        tell(f"the terminal is too narrow for {', '.join(left_out)}: --csv has them")


if __name__ == "__main__":
    sys.exit(run(main))
