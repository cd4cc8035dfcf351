"""`python -m experiments.grokking`: runs one arm and writes a figure and a summary."""

import sys

from experiments.grokking.family import FAMILY
from experiments.harness.command_line import run
from experiments.harness.family import main

if __name__ == "__main__":
    sys.exit(run(lambda: main(FAMILY)))
