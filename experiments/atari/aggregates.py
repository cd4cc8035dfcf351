"""Scores of several games as one number: interquartile means, with their intervals.

Scores are normalised, of shape ``(seeds, games)``, or ``(seeds, games, points)`` where
they are curves.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.harness.messages import UserError

REPETITIONS = 2_000
"""Repetitions of the bootstrap."""


class Estimate(NamedTuple):
    """An aggregate and its 95 % interval; arrays for curves."""

    point: Any
    low: Any
    high: Any


def iqm_by_seed(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean over the games of each seed alone.

    Args:
      scores: shape ``(seeds, games)`` or ``(seeds, games, points)``.

    Returns:
      An array of shape ``(seeds,)`` or ``(seeds, points)``.
    """
    return _trimmed_mean(np.moveaxis(np.asarray(scores, float), 1, 0))


def iqm(scores: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Interquartile means over all seeds and games, and bootstrapped intervals.

    They leave out a quarter of the scores at either end. The bootstrap draws the seeds
    of each game separately.

    Args:
      scores: by the name of an agent, as above.

    Raises:
      UserError: rliable is not installed.

    References:
      Agarwal et al., `Deep Reinforcement Learning at the Edge of the Statistical
      Precipice <https://arxiv.org/abs/2108.13264>`_, 2021
    """
    library = _rliable()
    with _drawing_the_same():
        points, intervals = library.get_interval_estimates(
            {name: np.asarray(own, float) for name, own in scores.items()},
            lambda own: np.atleast_1d(_trimmed_mean(own.reshape(-1, *own.shape[2:]))),
            reps=REPETITIONS,
        )
    return {
        name: Estimate(*(_plain(x) for x in (points[name], *intervals[name])))
        for name in scores
    }


@contextlib.contextmanager
def _drawing_the_same() -> Iterator[None]:
    """Seeds numpy's global generator, from which rliable draws whatever it is given."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


def _trimmed_mean(scores: np.ndarray) -> np.ndarray:
    """The mean over the first axis, without the lowest and the highest quarter."""
    left_out = len(scores) // 4
    ordered = np.sort(scores, axis=0)
    return ordered[left_out : len(scores) - left_out].mean(axis=0)


def _plain(values: np.ndarray) -> Any:
    return float(values[0]) if len(values) == 1 else values


def _rliable() -> Any:
    try:
        from rliable import library
    except ImportError as error:
        raise UserError(
            f"intervals need rliable ({error}): pip install -e '.[atari]', then "
            "--draw-only; runs are kept"
        ) from None
    return library
