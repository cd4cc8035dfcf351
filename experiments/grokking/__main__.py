"""`python -m experiments.grokking`: one arm, from flags to a figure and a summary."""

import sys

from experiments.grokking.config import Config
from experiments.harness.command_line import parse, run

PROG = "python -m experiments.grokking"


def main() -> None:
    """Parses, trains and prints a line for each seed."""
    config = parse(Config, prog=PROG)

    from experiments.grokking.train import train

    path, summary = train(config)
    for entry in summary:
        first = entry["first_step_test_accuracy_99"]
        reached = "never" if first is None else f"at update {first}"
        print(
            f"seed {entry['seed']}: train {entry['final_train_accuracy']:.3f}, "
            f"test {entry['final_test_accuracy']:.3f} "
            f"(median of the last evaluations "
            f"{entry['median_late_test_accuracy']:.3f}), .99 on test {reached}"
        )
    print(path / "grokking.png")


if __name__ == "__main__":
    sys.exit(run(main))
