"""What the study of change detectors can be asked for."""

import dataclasses
from pathlib import Path

from experiments.harness.checks import check, check_numbers, check_range
from experiments.harness.config import MOST_SEEDS


@dataclasses.dataclass(frozen=True)
class Config:
    """Measures false alarms, detections and delays of change detectors.

    On simulated streams and on the training losses of small grokking runs; writes
    results.json and detectors.png and prints tables in Markdown.
    """

    num_streams: int = 200
    """Each kind has this many simulated streams."""
    peers: bool = True
    """River's and ruptures' detectors are measured as well."""
    num_sweep_streams: int = 30
    """The sweep and the ablations use this many of them, the first."""
    num_updates: int = 4000
    """A stream has this many updates."""
    change_step: int = 2500
    """The first update after the change is this one."""
    num_curves: int = 3
    """Each kind of grokking run has this many seeds; 0 trains none."""
    curve_updates: int = 3000
    """A grokking run has this many updates, and changes half-way."""
    seed: int = 0
    """The noise is simulated with this seed, the first of the grokking runs."""
    output_directory: Path = Path("runs/detectors")
    """The files results.json and detectors.png are written here."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_numbers(self, apart=("seed",))
        for name in ("num_streams", "num_sweep_streams", "change_step"):
            check_range(name, getattr(self, name), at_least=1)
        check_range("num_curves", self.num_curves, at_least=0, at_most=MOST_SEEDS)
        check_range("seed", self.seed, at_least=0, below=2**32 - MOST_SEEDS)
        check_range("curve_updates", self.curve_updates, at_least=2)
        check(
            "num_updates",
            self.num_updates,
            self.num_updates > self.change_step,
            f"more than change_step={self.change_step}",
        )
