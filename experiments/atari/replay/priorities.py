"""Priorities of transitions."""

from typing import NamedTuple


class Prioritization(NamedTuple):
    """How transitions are drawn by their losses.

    References:
      Schaul et al., `Prioritized Experience Replay
      <https://arxiv.org/abs/1511.05952>`_, 2016, section 3.3
    """

    exponent: float = 0.5
    """Exponent of a priority; 0 draws uniformly."""
    uniform_share: float = 1e-3
    """This share of the probability is spread over all transitions."""
