"""`python -m experiments.continual_pretraining`: one arm, from flags to a summary."""

import sys

from experiments.continual_pretraining.family import FAMILY
from experiments.harness.command_line import run
from experiments.harness.family import main

if __name__ == "__main__":
    sys.exit(run(lambda: main(FAMILY)))
