"""What the study of change detectors can be asked for."""

import dataclasses
from pathlib import Path

from experiments.harness.checks import check, check_range


@dataclasses.dataclass(frozen=True)
class Config:
    """Measures false alarms, detections and delays of change detectors.

    On simulated streams and on the training losses of small grokking runs; writes
    results.json and detectors.png and prints tables in Markdown.
    """

    num_streams: int = 200
    """Simulated streams of each kind."""
    peers: bool = True
    """Whether to measure river's and ruptures' detectors as well."""
    num_sweep_streams: int = 30
    """The first of them, for the sweep and the ablations."""
    num_updates: int = 4000
    """Length of a stream."""
    change_step: int = 2500
    """The first update after the change."""
    num_curves: int = 3
    """Seeds of each kind of grokking run; 0 trains none."""
    curve_updates: int = 3000
    """Length of a grokking run, which changes half-way."""
    seed: int = 0
    """Of the simulated noise, and the first one of the grokking runs."""
    output_directory: Path = Path("runs/detectors")
    """Where results.json and detectors.png are written."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_range("num_streams", self.num_streams, at_least=1)
        check_range("num_sweep_streams", self.num_sweep_streams, at_least=1)
        for name in ("num_curves", "seed"):
            check_range(name, getattr(self, name), at_least=0)
        check_range("change_step", self.change_step, at_least=1)
        check_range("curve_updates", self.curve_updates, at_least=2)
        check(
            "num_updates",
            self.num_updates,
            self.num_updates > self.change_step,
            f"more than change_step={self.change_step}",
        )
