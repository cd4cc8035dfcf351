"""Panels for each game and for aggregates."""

from collections.abc import Mapping
from typing import Any

from experiments.atari import aggregates
from experiments.atari.environments.games import ATARI_GAMES
from experiments.harness import plots
from experiments.reproduce import drawing
from experiments.reproduce.cycling_agents import scores
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs


def draw_games(runs: Runs, preset: Preset, lines: Mapping[str, str]) -> Any:
    """Raw returns in a panel for each game, and the aggregate in the last one.

    Args:
      runs: the metrics.
      preset: of the figure.
      lines: what to draw, and its label.
    """
    of_games = list(scores.by_game(preset.arms, next(iter(lines))))
    columns = 3 if len(of_games) < 12 else 6
    rows = -(-(len(of_games) + 1) // columns)
    figure, axes = plots.figure(rows, columns, width=3.4, height=2.5)
    for ax, game in zip(axes.flat, of_games, strict=False):
        for (line, label), color in zip(
            lines.items(), drawing.colors(len(lines)), strict=True
        ):
            arm = scores.by_game(preset.arms, line)[game]
            steps, values = runs.curve(arm, scores.SCORE)
            frames = steps * preset.arms[arm].round_frames
            plots.line_with_spread(ax, frames, values, label=label, color=color)
        ax.set_title(game, fontsize="small")
    last = axes.flat[len(of_games)]
    draw_aggregate(last, runs, preset, lines)
    title = f"all games: IQM of the scores\n(1: {scores.one_is(preset)})"
    last.set_title(title, fontsize="small")
    for ax in axes.flat[len(of_games) + 1 :]:
        ax.remove()
    for row in axes:
        row[0].set(ylabel="mean return of the\nlast 100 episodes")
    for ax in axes[-1]:
        ax.set(xlabel="frames")
    drawing.legend(axes[0, -1])
    return figure


def draw_aggregates(
    runs: Runs,
    preset: Preset,
    lines: Mapping[str, str],
    paper: Mapping[str, float] | None = None,
) -> Any:
    """The aggregate over frames, and the end of each line, with a mark for each seed.

    Args:
      runs: the metrics.
      preset: of the figure.
      lines: what to draw, and its label.
      paper: where the paper's lines end, on all games of Atari.
    """
    figure, axes = plots.figure(1, 2, width=5.0, height=3.4)
    left, right = axes[0]
    draw_aggregate(left, runs, preset, lines)
    score = f"IQM over the games\n(1: {scores.one_is(preset)})"
    left.set(xlabel="frames", ylabel=score)
    finals = {
        label: scores.final(runs, preset.arms, line) for line, label in lines.items()
    }
    drawing.seeds_by_group(right, {label: {"": own} for label, own in finals.items()})
    games = scores.by_game(preset.arms, next(iter(lines)))
    if paper and set(games) == set(ATARI_GAMES):
        width = 0.8 / len(lines)  # as seeds_by_group has it
        places = [(index - (len(lines) - 1) / 2) * width for index in range(len(lines))]
        points = [paper[line] for line in lines]
        right.plot(
            places,
            points,
            **{**drawing.PAPER_STYLE, "linestyle": "none"},
            color="0.3",
            label=drawing.PAPER_LABEL,
        )
        drawing.legend(right)
    right.set(ylabel=f"{score},\nof each seed at the end")
    return figure


def draw_aggregate(
    ax: Any, runs: Runs, preset: Preset, lines: Mapping[str, str]
) -> None:
    """Sample efficiency: IQM over frames, with its interval."""
    curves = {line: scores.score_curves(runs, preset.arms, line) for line in lines}
    estimates = aggregates.iqm({line: own for line, (_, own) in curves.items()})
    for (line, label), color in zip(
        lines.items(), drawing.colors(len(lines)), strict=True
    ):
        frames, (point, low, high) = curves[line][0], estimates[line]
        ax.plot(frames, point, color=color, linewidth=2, label=label)
        ax.fill_between(frames, low, high, color=color, alpha=0.15, linewidth=0)
    ax.axhline(0, color="0.4", linewidth=1, zorder=1)
