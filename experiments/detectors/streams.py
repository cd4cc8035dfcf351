"""Simulated streams of values with one known change, or none.

t counts updates and c is the update of the change; [t ≥ c] is 0 before c and 1 from c
on. e is noise of mean 0 and standard deviation 1. The falling losses are
E(t) = .3 + 2 exp(-t / 800) and P(t) = .1 + 2 (1 + t / 20)^-.5. The jump, which training
undoes, is J(t) = .3 [t ≥ c] exp(-(t - c) / 500).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

Direction = Literal["up", "down", "both"]
SIGMA = 0.05


class Streams(NamedTuple):
    """Streams of one kind."""

    formula: str
    values: np.ndarray  # (streams, updates) float32
    change_step: int | None  # None: nothing ever changes
    direction: Direction = "up"


def simulate(
    num_streams: int, num_updates: int, change_step: int, seed: int
) -> dict[str, Streams]:
    """Draws all kinds, by name."""
    draw = _Noise(np.random.default_rng(seed), (num_streams, num_updates))
    t = np.arange(num_updates)
    since = np.maximum(t - change_step, 0)
    after = (t >= change_step).astype(float)
    kinds = _on_falling_losses(draw, t, since, after)
    kinds |= _harder(draw, t, since, after)
    kinds |= _without_a_loss(draw, t, after)
    kinds |= _not_used_for_the_defaults(draw, t, since, after)
    kinds |= _without_a_change(draw, t)
    changeless = ("no change, noise .9 correlated", "random walk")
    return {
        name: Streams(
            formula,
            np.asarray(values, np.float32),
            None if name in changeless else change_step,
            _DIRECTIONS.get(name, "up"),
        )
        for name, (formula, values) in kinds.items()
    }


Kinds = dict[str, tuple[str, np.ndarray]]
_DIRECTIONS: dict[str, Direction] = {"return falls": "down", "TD errors": "both"}


class _Noise:
    """Noise of standard deviation 1, shape (streams, updates)."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int]):
        self.rng = rng
        self.shape = shape

    def gaussian(self) -> np.ndarray:
        return self.rng.standard_normal(self.shape)

    def student_t(self) -> np.ndarray:
        return self.rng.standard_t(4, self.shape) / np.sqrt(2)

    def autoregressive(self, correlation: float) -> np.ndarray:
        noise = self.gaussian()
        noise[:, 1:] *= np.sqrt(1 - correlation**2)
        for step in range(1, self.shape[1]):
            noise[:, step] += correlation * noise[:, step - 1]
        return noise


def _exponential(t: np.ndarray, time: float = 800) -> np.ndarray:
    return 0.3 + 2 * np.exp(-t / time)


def _power_law(t: np.ndarray) -> np.ndarray:
    return 0.1 + 2 * (1 + t / 20) ** -0.5


def _on_falling_losses(
    draw: _Noise, t: np.ndarray, since: np.ndarray, after: np.ndarray
) -> Kinds:
    noises: dict[str, Callable[[], np.ndarray]] = {
        "Gaussian noise": draw.gaussian,
        "Student-t(4) noise": draw.student_t,
        "AR(1) noise, .5": lambda: draw.autoregressive(0.5),
        "AR(1) noise, .9": lambda: draw.autoregressive(0.9),
    }
    jump = 0.3 * after * np.exp(-since / 500)
    kinds = {
        name: ("E(t) + J(t) + .05 e", _exponential(t) + jump + SIGMA * noise())
        for name, noise in noises.items()
    }
    kinds["power-law fall"] = (
        "P(t) + J(t) + .05 e",
        _power_law(t) + jump + SIGMA * draw.gaussian(),
    )
    for size in (1, 2):
        kinds[f"jump of {size} sigma"] = (
            f"E(t) + {size * SIGMA:g} [t ≥ c] + .05 e",
            _exponential(t) + size * SIGMA * after + SIGMA * draw.gaussian(),
        )
    return kinds


def _harder(draw: _Noise, t: np.ndarray, since: np.ndarray, after: np.ndarray) -> Kinds:
    jump = 0.3 * after * np.exp(-since / 500)
    fall = 0.02 + 2 * np.exp(-t / 600)
    smooth = 4.6 * np.exp(-t / 150) + 1e-4 / (1 + t / 100)
    relearned = 3 * after * np.exp(-since / 80)
    return {
        "still falling": (
            ".3 + 2 exp(-t / 2000) + J(t) + .05 e",
            _exponential(t, 2000) + jump + SIGMA * draw.gaussian(),
        ),
        "noise shrinks with the loss": (
            "(.02 + 2 exp(-t / 600)) (1 + .1 e) + 2/3 J(t)",
            fall * (1 + 0.1 * draw.gaussian()) + jump * 2 / 3,
        ),
        "smooth with spikes": (
            "4.6 exp(-t / 150) + 1e-4 / (1 + t / 100) + 3 spikes "
            "+ 3 [t ≥ c] exp(-(t - c) / 80)",
            smooth + _spikes(draw) + relearned,
        ),
        "constant, no noise": (
            "2 + .5 [t ≥ c]",
            np.broadcast_to(2 + 0.5 * after, draw.shape),
        ),
        "ramp of 200 updates": (
            "E(t) + .5 min((t - c) / 200, 1) [t ≥ c] + .05 e",
            _exponential(t)
            + 0.5 * np.minimum(since / 200, 1)
            + SIGMA * draw.gaussian(),
        ),
    }


def _spikes(draw: _Noise) -> np.ndarray:
    """Draws three spikes in each stream, of height .01 to .5, over 1 to 11 updates."""
    num_updates = draw.shape[1]
    spikes = np.zeros(draw.shape)
    for row in spikes:
        for start in draw.rng.integers(0, num_updates, 3):
            age = np.arange(min(60, num_updates - start))
            height, time = draw.rng.uniform(0.01, 0.5), draw.rng.integers(1, 12)
            row[start : start + len(age)] += height * np.exp(-age / time)
    return spikes


def _without_a_loss(draw: _Noise, t: np.ndarray, after: np.ndarray) -> Kinds:
    signs = np.where(np.arange(draw.shape[0]) % 2, -1.0, 1.0)[:, None]
    return {
        "return rises": (
            "-200 + 300 [t ≥ c] + 100 e",
            -200 + 300 * after + 100 * draw.gaussian(),
        ),
        "return falls": (
            "300 (1 - exp(-t / 800)) - 120 [t ≥ c] + 30 e",
            300 * (1 - np.exp(-t / 800)) - 120 * after + 30 * draw.gaussian(),
        ),
        "TD errors": (
            "± 2 [t ≥ c] + e, e of Student-t(4)",
            2 * signs * after + draw.student_t(),
        ),
    }


def _not_used_for_the_defaults(
    draw: _Noise, t: np.ndarray, since: np.ndarray, after: np.ndarray
) -> Kinds:
    """Kinds that were first measured when all defaults were chosen."""
    jump = 0.3 * after * np.exp(-since / 500)
    half = np.argmax(after) // 2
    skewed = (np.exp(draw.gaussian()) - np.exp(0.5)) / np.sqrt(np.exp(2) - np.exp(1))
    wave = 0.8 * np.sqrt(2) * np.sin(2 * np.pi * t / 100)
    return {
        "new: log-normal noise": (
            "E(t) + J(t) + .05 e, e of a log-normal",
            _exponential(t) + jump + SIGMA * skewed,
        ),
        "new: cosine fall": (
            "1.3 + cos(π t / updates) + J(t) + .05 e",
            1.3 + np.cos(np.pi * t / len(t)) + jump + SIGMA * draw.gaussian(),
        ),
        "new: falls at once": (
            "1 - .7 [t ≥ c / 2] + J(t) + .05 e",
            1 - 0.7 * (t >= half) + jump + SIGMA * draw.gaussian(),
        ),
        "new: period of 100": (
            "E(t) + J(t) + .05 (.8 √2 sin(2 π t / 100) + .6 e)",
            _exponential(t) + jump + SIGMA * (wave + 0.6 * draw.gaussian()),
        ),
    }


def _without_a_change(draw: _Noise, t: np.ndarray) -> Kinds:
    return {
        "no change, noise .9 correlated": (
            "E(t) + .05 e",
            _exponential(t) + SIGMA * draw.autoregressive(0.9),
        ),
        "random walk": ("sum of e", np.cumsum(draw.gaussian(), axis=1)),
    }


def first(kinds: dict[str, Streams], num: int) -> dict[str, Streams]:
    """The first streams of each kind."""
    return {
        name: kind._replace(values=kind.values[:num]) for name, kind in kinds.items()
    }


def noise_scale(values: np.ndarray) -> float:
    """The noise's standard deviation, from differences of successive values."""
    differences = np.abs(np.diff(values.astype(float)))
    return float(np.median(differences[differences > 0]) / 0.6745 / np.sqrt(2))
