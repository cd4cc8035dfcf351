"""`python -m experiments.reproduce`: a figure from its name to a verdict."""

import dataclasses
import sys
from pathlib import Path

import tyro

from experiments.harness.checks import check_range
from experiments.harness.command_line import parse, run
from experiments.harness.config import MOST_SEEDS
from experiments.harness.trackers import registry as trackers
from experiments.reproduce import listing, registry
from experiments.reproduce.figure import Scale

PROG = "python -m experiments.reproduce"


@dataclasses.dataclass(frozen=True)
class Options:
    """Runs a figure, draws it with the paper's numbers and judges each claim.

    The same command continues what was interrupted; a finished figure is drawn and
    judged again. The exit code is 0 if every claim holds, 1 if one does not.
    """

    figure: tyro.conf.Positional[str] = ""
    """The figure has this name, such as lyle2025/fig3; --list shows all."""
    scale: Scale = "laptop"
    """Sizes and lengths are shortened to fit a laptop, or the paper's own. Figures of
    CIFAR-10 also have fashion, for those who have only Fashion-MNIST."""
    seeds: int = 0
    """Every arm is run with this many seeds; 0 is the preset's own number."""
    run_directory: Path | None = None
    """The runs are kept here; by default in runs/reproduce/<figure>/<scale>."""
    draw_only: bool = False
    """Nothing is run: what has been run is drawn and judged."""
    data_directory: Path | None = None
    """Figures that need data read them from here: see the experiment's page."""
    download: bool = False
    """The data are fetched if they are missing."""
    log: tuple[trackers.Name, ...] = ()
    """Metrics go to these trackers as well, while it runs: docs/tracking.md."""
    list: bool = False
    """Every figure of the papers is listed, with what it claims and what it takes."""

    def __post_init__(self) -> None:
        """Checks the name.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_range("seeds", self.seeds, at_least=0, at_most=MOST_SEEDS)
        if self.list and self.figure:
            raise ValueError("list stands alone: it has every figure")
        if self.list:
            return
        if not self.figure:
            raise ValueError(f"name a figure: {registry.suggestion('')}")
        if self.figure in registry.not_built():
            raise ValueError(
                f"{self.figure} is not built yet; there are "
                f"{registry.suggestion(self.figure)}"
            )
        if self.figure not in registry.known():
            raise ValueError(
                f"no figure {self.figure!r} here; there are "
                f"{registry.suggestion(self.figure)}"
            )
        scales = registry.known()[self.figure].presets
        if self.scale not in scales:
            raise ValueError(
                f"scale must be one of {', '.join(scales)} for {self.figure}, not "
                f"{self.scale}"
            )


def main() -> None:
    """Parses, then lists or reproduces."""
    options = parse(Options, prog=PROG)
    if options.list:
        print(listing.overview(), end="")
        return

    from experiments.reproduce.reproduce import reproduce

    figure = registry.known()[options.figure]
    directory = options.run_directory or (
        Path("runs/reproduce") / figure.name / options.scale
    )
    verdicts = reproduce(
        figure,
        options.scale,
        directory,
        num_seeds=options.seeds or None,
        draw_only=options.draw_only,
        apart={
            "data_directory": options.data_directory,
            "download": options.download,
            "log": options.log,
        },
    )
    if not all(verdict.holds for verdict in verdicts):
        sys.stdout.flush()
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(run(main))
