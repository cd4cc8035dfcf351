"""`python -m experiments.warm_start`: one arm, from flags to a figure and a summary."""

import sys

from experiments.harness.command_line import parse, run
from experiments.warm_start.config import Config

PROG = "python -m experiments.warm_start"


def main() -> None:
    """Parses, trains and prints a line for each seed."""
    config = parse(Config, prog=PROG)

    from experiments.warm_start.train import train

    path, summary = train(config)
    for entry in summary:
        before = entry["test_accuracy_before_the_last_data"]
        is_grown = before is not None and config.initial_fraction < 1
        grown = f"{before:.3f} before the last data, " if is_grown else ""
        print(
            f"seed {entry['seed']}: test {grown}"
            f"{entry['median_late_test_accuracy']:.3f} at the end (median of the last "
            f"evaluations), train {entry['final_train_accuracy']:.3f}, "
            f"{entry['num_rewarms']} re-warms"
        )
    print(path / "warm_start.png")


if __name__ == "__main__":
    sys.exit(run(main))
