"""`python -m experiments.warm_start`: runs one arm; writes a figure and a summary."""

import sys

from experiments.harness.command_line import run
from experiments.harness.family import main
from experiments.warm_start.family import FAMILY

if __name__ == "__main__":
    sys.exit(run(lambda: main(FAMILY)))
