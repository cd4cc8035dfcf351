"""What the commands that run figures can be asked for alike."""

import dataclasses
from pathlib import Path

from experiments.harness.checks import check_range
from experiments.harness.config import MOST_SEEDS
from experiments.harness.trackers import registry as trackers
from experiments.reproduce.figure import Figure, Scale
from experiments.reproduce.request import Request

RUNS = Path("runs/reproduce")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Which runs of a figure, and where they and their data are."""

    scale: Scale = "laptop"
    """Sizes and lengths are shortened to fit a laptop, or the paper's own. Figures of
    CIFAR-10 also have fashion, for those who have only Fashion-MNIST, and those of
    Atari ale-short: a few of its games, and short."""
    seeds: int = 0
    """Every arm is run with this many seeds; 0 is the preset's own number."""
    run_directory: Path | None = None
    """The runs are kept here; by default in runs/reproduce/<figure>/<scale>."""
    data_directory: Path | None = None
    """Figures that need data read them from here: see the experiment's page."""
    download: bool = False
    """The data are fetched if they are missing."""
    log: tuple[trackers.Name, ...] = ()
    """Metrics go to these trackers as well, while it runs: docs/tracking.md."""

    def __post_init__(self) -> None:
        """Checks the number.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_range("seeds", self.seeds, at_least=0, at_most=MOST_SEEDS)

    def request(self, name: str, figure: Figure) -> Request:
        """What is asked for of a figure; `name` finds it."""
        return Request(
            name=name,
            scale=self.scale,
            num_seeds=self.seeds or figure.presets[self.scale].num_seeds,
            directory=self.run_directory or RUNS / figure.name / self.scale,
            apart={
                "data_directory": self.data_directory,
                "download": self.download,
                "log": self.log,
            },
        )
