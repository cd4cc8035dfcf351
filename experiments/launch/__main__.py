"""`python -m experiments.launch`: many runs on a cluster, by one command."""

import shlex
import sys

from experiments.harness.command_line import parse, run
from experiments.harness.messages import tell
from experiments.launch.options import Options

PROG = "python -m experiments.launch"


def main() -> None:
    """Parses and launches; the exit code is 1 if something has to be run again."""
    options = parse(Options, prog=PROG)

    from experiments.launch.launch import launch

    is_finished = launch(options)
    if not is_finished:
        tell("when all is finished:")
    for name in dict.fromkeys(options.figures):
        print(_draw(options, name))
    if options.wait and not is_finished:
        sys.stdout.flush()
        raise SystemExit(1)


def _draw(options: Options, name: str) -> str:
    """The command that draws and judges a figure."""
    words = ["python", "-m", "experiments.reproduce", name, "--scale", options.scale]
    if options.seeds:
        words += ["--seeds", str(options.seeds)]
    for field in ("run_directory", "data_directory"):
        if value := getattr(options, field):
            words += [f"--{field.replace('_', '-')}", str(value)]
    return shlex.join(words)


if __name__ == "__main__":
    sys.exit(run(main))
