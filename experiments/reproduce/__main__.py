"""`python -m experiments.reproduce`: a figure from its name to a verdict."""

import dataclasses
import sys

import tyro

from experiments.harness.command_line import parse, run
from experiments.reproduce import listing, registry
from experiments.reproduce.options import RunOptions

PROG = "python -m experiments.reproduce"


@dataclasses.dataclass(frozen=True)
class Options(RunOptions):
    """Runs a figure, draws it with the paper's numbers and judges each claim.

    The same command continues interrupted runs; it draws and judges a finished figure
    again. The exit code is 0 if every claim holds, 1 if one does not.
    """

    figure: tyro.conf.Positional[str] = ""
    """Name of the figure, such as lyle2025/fig3 (--list shows all), or of your own
    module that has a FIGURE."""
    draw_only: bool = False
    """Runs nothing; draws and judges what has been run."""
    list: bool = False
    """Lists every figure of the papers, with what it claims and how long it takes."""

    def __post_init__(self) -> None:
        """Checks the name.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        if self.list and self.figure:
            raise ValueError("list shows every figure: leave out the figure's name")
        if not self.list:
            registry.check_scale(registry.find(self.figure), self.scale)


def main() -> None:
    """Parses, then lists or reproduces."""
    options = parse(Options, prog=PROG)
    if options.list:
        print(listing.overview(), end="")
        return

    from experiments.reproduce.reproduce import reproduce

    figure = registry.find(options.figure)
    request = options.request(options.figure, figure)
    verdicts = reproduce(
        figure,
        request.scale,
        request.directory,
        num_seeds=request.num_seeds,
        draw_only=options.draw_only,
        apart=request.apart,
    )
    if not all(verdict.holds for verdict in verdicts):
        sys.stdout.flush()
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(run(main))
