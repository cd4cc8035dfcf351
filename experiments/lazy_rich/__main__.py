"""`python -m experiments.lazy_rich TASK`: one run of a task."""

import sys

from experiments.harness import subcommands
from experiments.harness.command_line import run
from experiments.lazy_rich.tasks import ABOUT, FAMILIES, PROG

if __name__ == "__main__":
    sys.exit(run(lambda: subcommands.main(PROG, ABOUT, FAMILIES)))
