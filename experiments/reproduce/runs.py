"""The metrics of a figure's runs, and the numbers that claims use."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

LATE_EVALUATIONS = 10


class Runs:
    """Curves of runs, by arm and metric.

    Args:
      rows: one row for each step, `arm` and `seed`.
      extra: measurements beside the runs.
    """

    def __init__(
        self, rows: Iterable[Mapping[str, Any]], extra: Mapping[str, Any] | None = None
    ):
        self.extra = dict(extra or {})
        self._rows: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
        for row in rows:
            seeds = self._rows.setdefault(row["arm"], {})
            seeds.setdefault(row["seed"], []).append(row)

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in the order of the rows."""
        return list(self._rows)

    def num_seeds(self, arm: str) -> int:
        """How many were run."""
        return len(self._rows[arm])

    def curve(self, arm: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps, shape (points,), and values, shape (seeds, points)."""
        seeds = list(self._rows[arm].values())
        steps = np.asarray([row["step"] for row in seeds[0]])
        values = [[float(row[metric]) for row in rows] for rows in seeds]
        return steps, np.asarray(values)

    def first_step(
        self, arm: str, level: float, *, metric: str = "test_accuracy", since: int = 0
    ) -> np.ndarray:
        """Updates after `since` until a metric first is at `level` or above.

        Returns:
          One number for each seed; infinity if that never happens.
        """
        steps, values = self.curve(arm, metric)
        reached = (values >= level) & (steps > since)
        first = np.where(reached.any(axis=1), steps[reached.argmax(axis=1)], np.inf)
        return first - since

    def first_below(self, arm: str, level: float, *, metric: str) -> np.ndarray:
        """Updates until a metric, such as a loss, first is below `level`.

        Returns:
          One number for each seed; infinity if that never happens.
        """
        steps, values = self.curve(arm, metric)
        reached = values < level
        return np.where(reached.any(axis=1), steps[reached.argmax(axis=1)], np.inf)

    def share_generalised(self, arm: str) -> np.ndarray:
        """The share of evaluations at .95, from the first test accuracy of .99 on.

        Returns:
          One number for each seed; 0 if it never reaches .99.
        """
        steps, values = self.curve(arm, "test_accuracy")
        since = steps >= self.first_step(arm, 0.99)[:, None]
        shares = ((values >= 0.95) & since).sum(axis=1)
        return shares / np.maximum(since.sum(axis=1), 1)

    def late(
        self, arm: str, *, metric: str = "test_accuracy", last: int = LATE_EVALUATIONS
    ) -> np.ndarray:
        """The median of the last evaluations, for each seed.

        The accuracy of late networks dips now and then, so one evaluation says little.
        """
        return np.median(self.curve(arm, metric)[1][:, -last:], axis=1)

    def highest(
        self, arm: str, *, metric: str = "test_accuracy", since: int = 0
    ) -> np.ndarray:
        """The largest value after `since`, for each seed."""
        steps, values = self.curve(arm, metric)
        return values[:, steps > since].max(axis=1)

    def at(self, arm: str, step: int, *, metric: str = "test_accuracy") -> np.ndarray:
        """The value at the last evaluation up to `step`, for each seed."""
        steps, values = self.curve(arm, metric)
        return values[:, np.flatnonzero(steps <= step)[-1]]
