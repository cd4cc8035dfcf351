"""By what transitions are drawn."""

from typing import NamedTuple


class Prioritization(NamedTuple):
    """How transitions are drawn by their losses.

    References:
      Schaul et al., `Prioritized Experience Replay
      <https://arxiv.org/abs/1511.05952>`_, 2016, section 3.3
    """

    exponent: float = 0.5
    """Of a priority; 0 draws uniformly."""
    uniform_share: float = 1e-3
    """So much of the probability is spread over all transitions."""
