"""The options that all commands that run figures share."""

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
    """The runs of a figure, and where they and their data are."""

    scale: Scale = "laptop"
    """Sizes and lengths: shortened to fit a laptop, or the paper's own. Figures of
    CIFAR-10 also have fashion, for those who have only Fashion-MNIST, and those of
    Atari ale-short: shorter runs on a few of its games."""
    seeds: int = 0
    """Number of seeds of every arm; 0 takes the preset's own number."""
    run_directory: Path | None = None
    """Directory of the runs; by default runs/reproduce/<figure>/<scale>."""
    data_directory: Path | None = None
    """Directory of the data, for figures that need any: see the experiment's page."""
    download: bool = False
    """Fetches the data if they are missing."""
    replay_on_device: bool = False
    """Figures of Atari take the frames of batches from a copy on the device."""
    log: tuple[trackers.Name, ...] = ()
    """Trackers that get the metrics while runs go on: see docs/tracking.md."""

    def __post_init__(self) -> None:
        """Checks the number of seeds.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_range("seeds", self.seeds, at_least=0, at_most=MOST_SEEDS)

    def request(self, name: str, figure: Figure) -> Request:
        """The request for a figure, which `registry.find` finds by `name`."""
        return Request(
            name=name,
            scale=self.scale,
            num_seeds=self.seeds or figure.presets[self.scale].num_seeds,
            directory=self.run_directory or RUNS / figure.name / self.scale,
            apart={
                "data_directory": self.data_directory,
                "download": self.download,
                "replay_on_device": self.replay_on_device,
                "log": self.log,
            },
        )
