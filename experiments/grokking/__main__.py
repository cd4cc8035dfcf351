"""`python -m experiments.grokking`: one arm, from flags to a figure and a summary."""

import sys

from experiments.grokking.family import FAMILY
from experiments.harness.command_line import run
from experiments.harness.family import main

if __name__ == "__main__":
    sys.exit(run(lambda: main(FAMILY)))
