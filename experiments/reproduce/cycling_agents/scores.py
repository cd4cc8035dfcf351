"""Normalised scores of lines of arms, and claims about them."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.atari import aggregates
from experiments.atari.config import Config
from experiments.atari.environments import games
from experiments.reproduce import claims
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs

SCORE = "mean_return_last_100_episodes"
MARGIN = 0.05
"""The least median difference of normalised scores that counts: a twentieth of the way
from chance to the scale's 1."""
BEST_LINE = "the game's best line"
"""What a normalised score of MinAtar is relative to: the highest mean return at the
end, among the figure's runs. Atari's is relative to people."""
LEAST_SCALE = 1.0
"""The least distance from chance to the scale's 1, in rewards, if nobody has
learned."""


def by_game(arms: Mapping[str, Config], line: str) -> dict[str, str]:
    """The arms of a line, by game."""
    return {
        config.game: name
        for name, config in arms.items()
        if name == f"{line}, {config.game}"
    }


def score_curves(
    runs: Runs, arms: Mapping[str, Config], line: str
) -> tuple[np.ndarray, np.ndarray]:
    """Frames, shape (points,), and scores, shape (seeds, games, points)."""
    curves = []
    for game, arm in by_game(arms, line).items():
        steps, values = runs.curve(arm, SCORE)
        frames = steps * arms[arm].round_frames
        chance, one = _scale(runs, arms, game)
        curves.append((values - chance) / (one - chance))
    return frames, np.stack(curves, axis=1)


def _scale(runs: Runs, arms: Mapping[str, Config], game: str) -> tuple[float, float]:
    """The raw scores that become 0 and 1 in a game."""
    own = [name for name, config in arms.items() if config.game == game]
    if arms[own[0]].suite == "ale":
        return games.ATARI_SCORES[game]
    chance = games.MINATAR_CHANCE[game]
    best = max(float(runs.late(arm, metric=SCORE, last=1).mean()) for arm in own)
    return chance, max(best, chance + LEAST_SCALE)


def one_is(preset: Preset) -> str:
    """What has a score of 1, to be stated with every score."""
    is_atari = next(iter(preset.arms.values())).suite == "ale"
    return games.BASELINE if is_atari else BEST_LINE


def final(runs: Runs, arms: Mapping[str, Config], line: str) -> np.ndarray:
    """Interquartile mean over the games at the end, for each seed."""
    return aggregates.iqm_by_seed(score_curves(runs, arms, line)[1][..., -1])


def better_claim(
    arms: Mapping[str, Config],
    better: str,
    worse: str,
    paper: str,
    *,
    at_least: float | None = MARGIN,
    at_most: float | None = None,
) -> Claim:
    """One line ends above another, by a margin."""
    return Claim(
        says=f"{better} less {worse}: IQM over the games of the scores at the end",
        measure=lambda runs: final(runs, arms, better) - final(runs, arms, worse),
        at_least=at_least,
        at_most=at_most,
        paper=paper,
    )


def lost_claim(
    arms: Mapping[str, Config],
    line: str,
    paper: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Claim:
    """The loss of a line from its best score, as a claim."""

    def lost(runs: Runs) -> np.ndarray:
        curve = aggregates.iqm_by_seed(score_curves(runs, arms, line)[1])
        return curve.max(axis=1) - curve[:, -1]

    return Claim(
        says=f"{line}: IQM over the games where it is highest less that at the end",
        measure=lost,
        at_least=at_least,
        at_most=at_most,
        paper=paper,
    )


def table(runs: Runs, preset: Preset, lines: Sequence[str]) -> str:
    """The aggregate of each line, and its raw returns if there are few games."""
    finals = {line: score_curves(runs, preset.arms, line)[1][..., -1] for line in lines}
    estimates = aggregates.iqm(finals)
    # Games are its strata, so of one seed the bootstrap always draws the same.
    has_interval = len(finals[lines[0]]) > 1
    of_games = by_game(preset.arms, lines[0])
    shown = list(of_games) if len(of_games) <= 6 else []
    rows = []
    for line, (point, low, high) in estimates.items():
        own = by_game(preset.arms, line)
        returns = [
            claims.spread(runs.late(own[game], metric=SCORE, last=1)) for game in shown
        ]
        interval = f" [{low:.2f}, {high:.2f}]" if has_interval else ""
        rows.append((line, f"{point:.2f}{interval}", *returns))
    level = " [95 %]" if has_interval else ""
    header = ("line", f"IQM, 1 being {one_is(preset)}{level}", *shown)
    return claims.table(header, rows)
