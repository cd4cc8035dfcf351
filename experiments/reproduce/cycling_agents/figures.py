"""A figure from its programs and the lines that it shows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.atari.config import Config
from experiments.atari.family import FAMILY
from experiments.reproduce.claims import Claim
from experiments.reproduce.cycling_agents import panels, scores, sizes
from experiments.reproduce.figure import Figure, Preset, presets
from experiments.reproduce.runs import Runs


def figure(
    figure_name: str,
    title: str,
    programs: Sequence[str],
    *,
    lines: Mapping[str, str],
    claims_of: Callable[[Mapping[str, Config]], tuple[Claim, ...]],
    draw: Callable[[Runs, Preset, Mapping[str, str]], Any] = panels.draw_games,
    note: str = "",
) -> Figure:
    """A figure whose arms are the lines of some programs, at each scale.

    It runs whole programs, including lines that it does not show. So figures in one
    directory share their runs.

    Args:
      figure_name: as on the command line.
      title: what it claims.
      programs: of `sizes.PROGRAMS`.
      lines: to show, and their labels.
      claims_of: gives what must hold, from the arms of a scale.
      draw: draws the lines.
      note: what else differs from the paper's figure.
    """
    return Figure(
        name=figure_name,
        title=title,
        family=FAMILY,
        presets=presets(
            sizes.SIZES, lambda size: sizes.arms(size, programs), claims_of, note
        ),
        draw=lambda runs, preset: draw(runs, preset, lines),
        table=lambda runs, preset: scores.table(runs, preset, list(lines)),
    )
