"""`python -m experiments.atari`: an agent on a game, from flags to a figure."""

import sys

from experiments.atari.family import FAMILY
from experiments.harness.command_line import run
from experiments.harness.family import main

if __name__ == "__main__":
    sys.exit(run(lambda: main(FAMILY)))
