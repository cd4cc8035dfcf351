"""The options of the study of change detectors."""

import dataclasses
from pathlib import Path

from experiments.harness.checks import check, check_numbers, check_range
from experiments.harness.config import MOST_SEEDS

PEERS_TOLERANCE = 10
"""Updates by which an offline method may place a change before its first value."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Measures false alarms, detections and delays of change detectors.

    The detectors watch simulated streams and the training losses of small grokking
    runs. The command writes results.json and detectors.png, and prints tables in
    Markdown.
    """

    num_streams: int = 200
    """Number of simulated streams of each kind."""
    peers: bool = True
    """Also measures the detectors of River and ruptures."""
    num_sweep_streams: int = 30
    """Number of streams of each kind, the first ones, for the sweep and the
    ablations; all if there are fewer."""
    num_updates: int = 4000
    """Number of updates of a stream."""
    change_step: int = 2500
    """First update after the change."""
    num_curves: int = 3
    """Number of seeds of each kind of grokking run; 0 trains none."""
    curve_updates: int = 3000
    """Number of updates of a grokking run, which changes half-way."""
    seed: int = 0
    """Seed of the simulated noise, and the first seed of the grokking runs."""
    output_directory: Path = Path("runs/detectors")
    """Directory for the files results.json and detectors.png."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_numbers(self, apart=("seed",))
        for name in ("num_streams", "num_sweep_streams"):
            check_range(name, getattr(self, name), at_least=1)
        check_range("num_curves", self.num_curves, at_least=0, at_most=MOST_SEEDS)
        check_range("seed", self.seed, at_least=0, below=2**32 - MOST_SEEDS)
        # What comes before a change, but for the tolerance, has false alarms or none.
        least = PEERS_TOLERANCE + 1 if self.peers else 1
        check_range("change_step", self.change_step, at_least=least)
        check_range("curve_updates", self.curve_updates, at_least=2 * least)
        check(
            "num_updates",
            self.num_updates,
            self.num_updates > self.change_step,
            f"more than change_step={self.change_step}",
        )
