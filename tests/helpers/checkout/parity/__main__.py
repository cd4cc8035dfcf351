"""`python -m helpers.checkout.parity`."""

import sys

from experiments.harness.command_line import run
from experiments.harness.family import main
from helpers.checkout.parity.family import FAMILY

if __name__ == "__main__":
    sys.exit(run(lambda: main(FAMILY)))
