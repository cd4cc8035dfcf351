"""`python -m experiments.atari`: an agent on a game, from flags to a figure."""

import sys

from experiments.atari.family import FAMILY
from experiments.harness.command_line import run
from experiments.harness.family import main


def train_and_record() -> None:
    """Runs a config, and records its agent if asked for."""
    config, directory = main(FAMILY)
    if config.record is not None:
        from experiments.atari.recording import record

        record(config, directory, config.record)
        print(config.record)


if __name__ == "__main__":
    sys.exit(run(train_and_record))
