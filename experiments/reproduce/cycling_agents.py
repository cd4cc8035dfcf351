"""What the figures of agents on games share: programs, arms by game, scores, panels.

Arms of one game that differ in rates and times only are one *program*, which is
compiled once. A constant rate is a cycle whose peak is its trough.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from experiments.atari import aggregates
from experiments.atari.config import Config
from experiments.atari.environments import games
from experiments.atari.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import claims, drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset, Scale
from experiments.reproduce.runs import Runs

Regime = Literal["many updates", "few updates"]
SCORE = "mean_return_last_100_episodes"
MARGIN = 0.05
"""The least median difference that counts, of normalised scores: a twentieth of the way
from chance to the scale's 1."""
BEST_LINE = "the best line of the figure"
"""What a normalised score of MinAtar is relative to; that of Atari to people."""
LEAST_SCALE = 1.0
"""From chance to the scale's 1 there is a reward at least, where nobody has learned."""
STEPS_PER_UPDATE: dict[Regime, float] = {"many updates": 1.0, "few updates": 4.0}
PROGRAMS: dict[str, tuple[Regime, Mapping[str, Any], Sequence[str]]] = {
    "many updates, free": (
        "many updates",
        {},
        (
            *("constant high", "constant low", "cyclic"),
            *("stopped soon", "stopped later", "stopped late"),
        ),
    ),
    "many updates, projected": (
        "many updates",
        {"normalize": True, "project": True},
        ("constant high", "constant low", "cyclic", "stopped late"),
    ),
    "many updates, detector": (
        "many updates",
        {"learning_rate_schedule": "cusum"},
        ("cusum",),
    ),
    "few updates, free": (
        "few updates",
        {},
        ("constant high", "constant low", "cyclic", "stopped late"),
    ),
    "few updates, projected": (
        "few updates",
        {"normalize": True, "project": True},
        ("constant high", "constant low", "one cycle", "cyclic", "stopped late"),
    ),
    "few updates, resets": (
        "few updates",
        {"normalize": True, "project": True, "reset": "last_layers"},
        ("constant high", "cyclic"),
    ),
}
"""By name: the regime, what the program is compiled with, and its lines."""


@dataclasses.dataclass(frozen=True)
class Times:
    """The times of a regime, in frames."""

    num_frames: int
    cycle_frames: int
    learning_starts_frames: int
    stops: Mapping[str, int]
    """For the lines that stop, after how many cycles."""
    settings: Mapping[str, Any]
    """Others of all arms."""


@dataclasses.dataclass(frozen=True)
class Size:
    """A scale of the figures."""

    suite: Literal["minatar", "ale"]
    games: Mapping[Regime, Sequence[str]]
    times: Mapping[Regime, Times]
    high: float
    low: float
    num_seeds: int
    note: str = ""
    """What differs from the paper's."""


# The games on which the paper's agents make many updates.
MANY_UPDATES_GAMES = (
    *("Asterix", "SpaceInvaders", "Breakout", "Pong", "Qbert", "DemonAttack"),
    *("Seaquest", "WizardOfWor", "RoadRunner", "BeamRider", "Frostbite"),
    *("CrazyClimber", "Assault", "Krull", "Boxing", "Jamesbond", "Kangaroo"),
    *("UpNDown", "Gopher", "Hero"),
)
LAPTOP = Size(
    suite="minatar",
    games=dict.fromkeys(STEPS_PER_UPDATE, games.MINATAR_GAMES),
    times={
        "many updates": Times(
            num_frames=25_000,
            cycle_frames=2_400,
            learning_starts_frames=1_000,
            stops={"stopped soon": 1, "stopped later": 2, "stopped late": 5},
            settings={
                "replay_steps": 25_000,
                "exploration_frames": 5_000,
                "eval_every": 1_000,
            },
        ),
        "few updates": Times(
            num_frames=50_000,
            cycle_frames=12_250,
            learning_starts_frames=1_000,
            stops={"stopped late": 3},
            settings={
                "replay_steps": 50_000,
                "exploration_frames": 10_000,
                "eval_every": 500,
            },
        ),
    },
    high=1e-3,
    low=1.6e-5,
    num_seeds=5,
    note="MinAtar's five games instead of Atari's 20 or 57, and DQN instead of Rainbow "
    "where updates are few. 25,000 frames with ten cycles where updates are many "
    "(paper: 200 million with 50), stopped after 1, 2 and 5 of them (2, 5 and 10); "
    "50,000 where they are few. Rates of 1e-3 and 1.6e-5, in the paper's proportion. "
    "The replay keeps all frames.",
)
ALE_SHORT = Size(
    suite="ale",
    games=dict.fromkeys(STEPS_PER_UPDATE, ("Boxing", "Breakout", "Krull")),
    times={
        "many updates": Times(
            num_frames=400_000,
            cycle_frames=39_200,
            learning_starts_frames=8_000,
            stops={"stopped soon": 1, "stopped later": 2, "stopped late": 5},
            settings={
                "agent": "dqn",
                "replay_steps": 100_000,
                "exploration_frames": 40_000,
                "target_period_frames": 8_000,
                "eval_every": 2_500,
            },
        ),
        "few updates": Times(
            num_frames=400_000,
            cycle_frames=98_000,
            learning_starts_frames=8_000,
            stops={"stopped late": 3},
            settings={
                "agent": "rainbow",
                "replay_steps": 100_000,
                "target_period_frames": 8_000,
                "eval_every": 1_000,
            },
        ),
    },
    high=6.25e-5,
    low=1e-6,
    num_seeds=1,
    note="Three games for 400,000 frames each, with one seed: as many as in the "
    "benchmark of 100,000 steps. Ten cycles where updates are many, stopped after 1, 2 "
    "and 5 of them.",
)
PAPER = Size(
    suite="ale",
    games={"many updates": MANY_UPDATES_GAMES, "few updates": games.ATARI_GAMES},
    times={
        "many updates": Times(
            num_frames=200_000_000,
            cycle_frames=4_000_000,
            learning_starts_frames=200_000,
            stops={"stopped soon": 2, "stopped later": 5, "stopped late": 10},
            settings={"agent": "dqn", "eval_every": 250_000},
        ),
        "few updates": Times(
            num_frames=200_000_000,
            cycle_frames=49_980_000,
            learning_starts_frames=80_000,
            stops={"stopped late": 3},
            settings={"agent": "rainbow", "eval_every": 62_500},
        ),
    },
    high=6.25e-5,
    low=1e-6,
    num_seeds=5,
    note="The number of seeds is ours, as is 1e-6 at the end of Rainbow's cycles (the "
    "paper has 1e-7 where they stop early).",
)
SIZES: dict[Scale, Size] = {"laptop": LAPTOP, "ale-short": ALE_SHORT, "paper": PAPER}


def line_name(program: str, line: str) -> str:
    """Names an arm, but for its game."""
    return f"{program}, {line}"


def arms(size: Size, programs: Sequence[str]) -> dict[str, Config]:
    """All lines of some programs, in each game."""
    return {
        f"{line_name(program, line)}, {game}": _config(size, program, line, game)
        for program in programs
        for game in size.games[PROGRAMS[program][0]]
        for line in PROGRAMS[program][2]
    }


def _config(size: Size, program: str, line: str, game: str) -> Config:
    regime, settings, _ = PROGRAMS[program]
    times = size.times[regime]
    learning = times.num_frames - times.learning_starts_frames
    own: dict[str, Any] = {
        "learning_rate_schedule": "cyclic",
        "learning_rate": size.low if line == "constant low" else size.high,
        "low_learning_rate": size.high if line == "constant high" else size.low,
        "cycle_frames": learning if line == "one cycle" else times.cycle_frames,
    }
    if line in times.stops:
        stopped = times.stops[line] * times.cycle_frames
        own["stop_cycling_frames"] = times.learning_starts_frames + stopped
    if "reset" in settings:
        own["reset_frames"] = times.cycle_frames
    return Config(
        suite=size.suite,
        game=game,
        agent_steps_per_update=STEPS_PER_UPDATE[regime],
        num_frames=times.num_frames,
        learning_starts_frames=times.learning_starts_frames,
        **{**times.settings, **own, **settings},
    )


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
    """The raw scores that are 0 and 1 in a game."""
    own = [name for name, config in arms.items() if config.game == game]
    if arms[own[0]].suite == "ale":
        return games.ATARI_SCORES[game]
    chance = games.MINATAR_CHANCE[game]
    best = max(float(runs.late(arm, metric=SCORE, last=1).mean()) for arm in own)
    return chance, max(best, chance + LEAST_SCALE)


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
    """What a line loses, or does not, of the best it has had."""

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
    """The aggregate of each line, and its raw returns where games are few."""
    estimates = aggregates.iqm(
        {line: score_curves(runs, preset.arms, line)[1][..., -1] for line in lines}
    )
    of_games = by_game(preset.arms, lines[0])
    shown = list(of_games) if len(of_games) <= 6 else []
    rows = []
    for line, (point, low, high) in estimates.items():
        own = by_game(preset.arms, line)
        returns = [
            claims.spread(runs.late(own[game], metric=SCORE, last=1)) for game in shown
        ]
        rows.append((line, f"{point:.2f} [{low:.2f}, {high:.2f}]", *returns))
    is_atari = next(iter(preset.arms.values())).suite == "ale"
    one = games.BASELINE if is_atari else BEST_LINE
    header = ("line", f"IQM, 1 being {one} [95 %]", *shown)
    return claims.table(header, rows)


def draw_games(runs: Runs, preset: Preset, lines: Mapping[str, str]) -> Any:
    """Raw returns in a panel for each game, and the aggregate in the last one.

    Args:
      runs: the metrics.
      preset: of the figure.
      lines: what to draw, and its label.
    """
    of_games = list(by_game(preset.arms, next(iter(lines))))
    columns = 3 if len(of_games) < 12 else 6
    rows = -(-(len(of_games) + 1) // columns)
    figure, axes = plots.figure(rows, columns, width=3.4, height=2.5)
    for ax, game in zip(axes.flat, of_games, strict=False):
        for (line, label), color in zip(
            lines.items(), drawing.colors(len(lines)), strict=True
        ):
            arm = by_game(preset.arms, line)[game]
            steps, values = runs.curve(arm, SCORE)
            frames = steps * preset.arms[arm].round_frames
            plots.line_with_spread(ax, frames, values, label=label, color=color)
        ax.set_title(game, fontsize="small")
    last = axes.flat[len(of_games)]
    draw_aggregate(last, runs, preset, lines)
    last.set_title("all games: IQM of the scores", fontsize="small")
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
    """The aggregate over frames, and where each line ends, a mark for each seed.

    Args:
      runs: the metrics.
      preset: of the figure.
      lines: what to draw, and its label.
      paper: where the paper's lines end, on Atari.
    """
    figure, axes = plots.figure(1, 2, width=5.0, height=3.4)
    left, right = axes[0]
    draw_aggregate(left, runs, preset, lines)
    left.set(xlabel="frames", ylabel="IQM over the games")
    finals = {label: final(runs, preset.arms, line) for line, label in lines.items()}
    drawing.seeds_by_group(right, {label: {"": own} for label, own in finals.items()})
    if paper and next(iter(preset.arms.values())).suite == "ale":
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
    right.set(ylabel="IQM over the games at the end,\nof each seed")
    return figure


def draw_aggregate(
    ax: Any, runs: Runs, preset: Preset, lines: Mapping[str, str]
) -> None:
    """Sample efficiency: IQM over frames, with its interval."""
    curves = {line: score_curves(runs, preset.arms, line) for line in lines}
    estimates = aggregates.iqm({line: own for line, (_, own) in curves.items()})
    for (line, label), color in zip(
        lines.items(), drawing.colors(len(lines)), strict=True
    ):
        frames, (point, low, high) = curves[line][0], estimates[line]
        ax.plot(frames, point, color=color, linewidth=2, label=label)
        ax.fill_between(frames, low, high, color=color, alpha=0.15, linewidth=0)
    ax.axhline(0, color="0.4", linewidth=1, zorder=1)


def figure(
    figure_name: str,
    title: str,
    programs: Sequence[str],
    *,
    lines: Mapping[str, str],
    claims_of: Callable[[Mapping[str, Config]], tuple[Claim, ...]],
    draw: Callable[[Runs, Preset, Mapping[str, str]], Any] = draw_games,
    note: str = "",
) -> Figure:
    """A figure whose arms are the lines of some programs, at each scale.

    It runs whole programs, also lines that it does not show: so figures that are given
    one directory share their runs.

    Args:
      figure_name: as on the command line.
      title: what it claims.
      programs: of `PROGRAMS`.
      lines: what it shows, and how it is called there.
      claims_of: gives what must hold, from the arms of a scale.
      draw: draws the lines.
      note: what else differs from the paper's figure.
    """

    def preset(size: Size) -> Preset:
        own = arms(size, programs)
        return Preset(
            arms=own,
            num_seeds=size.num_seeds,
            claims=claims_of(own),
            note=" ".join(filter(None, (size.note, note))),
        )

    return Figure(
        name=figure_name,
        title=title,
        family=FAMILY,
        presets={scale: preset(size) for scale, size in SIZES.items()},
        draw=lambda runs, preset: draw(runs, preset, lines),
        table=lambda runs, preset: table(runs, preset, list(lines)),
    )
