"""Programs and arms by game, at each scale.

Arms of one game that differ only in rates and times are one *program*, which is
compiled once. A constant rate is a cycle with equal peak and trough.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from experiments.atari.config import Config
from experiments.atari.environments import games
from experiments.reproduce.figure import Scale

Regime = Literal["many updates", "few updates"]
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
"""By name: the regime, the settings that the program is compiled with, and its
lines."""


@dataclasses.dataclass(frozen=True)
class Times:
    """The times of a regime, in frames."""

    num_frames: int
    cycle_frames: int
    learning_starts_frames: int
    stops: Mapping[str, int]
    """Number of cycles after which the stopping lines stop."""
    settings: Mapping[str, Any]
    """Other settings of all arms."""


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
    """Differences from the paper."""


# The games of the paper's agents with many updates.
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
            num_frames=160_000,
            cycle_frames=15_200,
            learning_starts_frames=8_000,
            stops={"stopped soon": 1, "stopped later": 2, "stopped late": 5},
            # As in agents for 100,000 steps: van Hasselt et al. (2019) and Kostrikov
            # et al. (2020). The preset hardly learned in 280,000 frames.
            settings={
                "agent": "dqn",
                "double": True,
                "n_step": 10,
                "adam_eps": 1.5e-4,
                "max_grad_norm": 10.0,
                "replay_steps": 40_000,
                "exploration_frames": 20_000,
                "target_period_frames": 8_000,
                "eval_every": 1_000,
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
    high=1e-4,
    low=1.6e-6,
    num_seeds=1,
    note="Three games and one seed. 160,000 frames where updates are many, with ten "
    "cycles, stopped after 1, 2 and 5 of them, and DQN made for few frames: double, "
    "returns of ten steps, another epsilon of Adam, clipped gradients. 400,000 frames "
    "where updates are few, as in the benchmark of 100,000 steps. Rates of 1e-4 and "
    "1.6e-6, in the paper's proportion.",
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
            settings={"agent": "dqn", "eval_every": 62_500},
        ),
        "few updates": Times(
            num_frames=200_000_000,
            cycle_frames=49_980_000,
            learning_starts_frames=80_000,
            stops={"stopped late": 3},
            settings={"agent": "rainbow", "eval_every": 15_625},
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
    """Names an arm, without its game."""
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
