"""Figure 2, left, of Lyle et al. (2025): weight norm, learning rate and decay."""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.reproduce import drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

RATES = (1e-2, 1e-3, 1e-4)
DECAYS = (0.01, 1.0)
LAPTOP_STEPS = {1e-2: 3000, 1e-3: 1000, 1e-4: 1000}
EVERY_UPDATE = "projected every update"
PROJECT_EVERY = {"free": None, "projected": 100, EVERY_UPDATE: 1}
"""Updates between projections, for the paper's two constraints and one of ours."""
Line = tuple[str, float, float]

# updates:accuracy read off figure 2 of arXiv 2507.20057, means of three seeds,
# by constraint, learning rate and decay.
PAPER: dict[Line, drawing.Points] = {
    ("free", 0.01, 0.01): drawing.points(
        "1000:.198 20000:.1985 100000:.372 250000:.724 320000:.907 370000:1 1000000:1"
    ),
    ("free", 0.01, 1.0): drawing.points(
        "1000:.705 2000:.9994 5000:.654 20000:.9996 1000000:.9998"
    ),
    ("free", 0.001, 0.01): drawing.points(
        "1000:.192 20000:.191 100000:.19 500000:.163 1000000:.146"
    ),
    ("free", 0.001, 1.0): drawing.points(
        "1000:.182 13000:.115 20000:.372 30000:.7 40000:1 1000000:1"
    ),
    ("free", 0.0001, 0.01): drawing.points(
        "1000:.158 20000:.165 100000:.1655 1000000:.158"
    ),
    ("free", 0.0001, 1.0): drawing.points(
        "1000:.14 20000:.133 100000:.074 250000:.359 500000:.6875 750000:.992 1000000:1"
    ),
    ("projected", 0.01, 0.01): drawing.points(
        "1000:.331 2000:.933 3000:.992 20000:.9953 100000:.9959 1000000:.9962"
    ),
    ("projected", 0.01, 1.0): drawing.points(
        "1000:.926 2000:.9435 20000:.951 100000:.955 250000:.978 500000:.994 "
        "1000000:.9996"
    ),
    ("projected", 0.001, 0.01): drawing.points(
        "1000:.193 5000:.277 7000:.439 16000:.57 20000:.855 100000:.925 1000000:.9435"
    ),
    ("projected", 0.001, 1.0): drawing.points(
        "1000:.192 6000:.424 14000:.661 20000:.938 100000:.966 1000000:.971"
    ),
    ("projected", 0.0001, 0.01): drawing.points(
        "1000:.092 2000:.175 14000:.243 40000:.485 70000:.793 100000:.832 1000000:.892"
    ),
    ("projected", 0.0001, 1.0): drawing.points(
        "1000:.09 2000:.174 14000:.258 40000:.569 80000:.813 100000:.834 1000000:.893"
    ),
}


def name(constraint: str, rate: float, decay: float) -> str:
    """Names an arm."""
    return f"{constraint}, rate {rate:g}, decay {decay:g}"


def arm(constraint: str, rate: float, decay: float, **settings: Any) -> Config:
    """Makes an arm without normalisation layers."""
    every = PROJECT_EVERY[constraint]
    return Config(
        learning_rate=rate,
        weight_decay=decay,
        project=every is not None,
        project_every=every or 1,
        **settings,
    )


def reaches(line: Line, level: float, updates: int, paper: str) -> Claim:
    """Claims that an arm reaches a level within some updates."""
    return Claim(
        says=f"{name(*line)}: updates until test accuracy {level:g}",
        measure=functools.partial(Runs.first_step, arm=name(*line), level=level),
        at_most=updates,
        paper=paper,
    )


def stays_below(line: Line, level: float, paper: str) -> Claim:
    """Claims that an arm is never above a level."""
    return Claim(
        says=f"{name(*line)}: highest test accuracy",
        measure=functools.partial(Runs.highest, arm=name(*line)),
        at_most=level,
        paper=paper,
    )


def ends_at(line: Line, low: float, paper: str) -> Claim:
    """Claims that the last evaluations of an arm are at a level."""
    return Claim(
        says=f"{name(*line)}: test accuracy at the end",
        measure=functools.partial(Runs.late, arm=name(*line)),
        at_least=low,
        paper=paper,
    )


LAPTOP_CLAIMS = (
    reaches(("projected", 1e-2, 0.01), 0.99, 3000, ".933 after 2000, .992 after 3000"),
    reaches(("projected", 1e-2, 1.0), 0.9, 2000, ".926 after 1000, .944 after 2000"),
    reaches(
        (EVERY_UPDATE, 1e-2, 0.01), 0.99, 2000, "(at every 100th: .992 after 3000)"
    ),
    reaches((EVERY_UPDATE, 1e-2, 1.0), 0.9, 2000, "(every 100th: .944 after 2000)"),
    reaches(("free", 1e-2, 1.0), 0.99, 2000, "every seed after 1000 to 2000"),
    stays_below(("free", 1e-2, 0.01), 0.3, ".199 after 20,000; generalises later"),
    stays_below(("free", 1e-3, 1.0), 0.3, ".182 after 1000; generalises later"),
    stays_below(("free", 1e-3, 0.01), 0.3, "at most .192"),
    stays_below(("free", 1e-4, 1.0), 0.3, ".14 after 1000; generalises later"),
    stays_below(("free", 1e-4, 0.01), 0.3, "at most .166"),
    stays_below(("projected", 1e-3, 1.0), 0.98, ".192 after 1000, .971 at the end"),
    stays_below(("projected", 1e-3, 0.01), 0.98, ".193 after 1000, .944 at the end"),
    stays_below(("projected", 1e-4, 1.0), 0.3, ".09 after 1000, .893 at the end"),
    stays_below(("projected", 1e-4, 0.01), 0.3, ".092 after 1000, .892 at the end"),
)
PAPER_CLAIMS = (
    reaches(("projected", 1e-2, 0.01), 0.98, 10_000, ".992 after 3000"),
    ends_at(("projected", 1e-2, 1.0), 0.99, ".9996"),
    reaches(("free", 1e-2, 1.0), 0.99, 10_000, "every seed after 1000 to 2000"),
    reaches(("free", 1e-2, 0.01), 0.99, 1_000_000, "110,000 to 350,000"),
    reaches(("free", 1e-3, 1.0), 0.99, 200_000, "30,000 to 40,000"),
    stays_below(("free", 1e-3, 0.01), 0.3, "at most .192"),
    reaches(("free", 1e-4, 1.0), 0.99, 1_000_000, "170,000 to 760,000"),
    stays_below(("free", 1e-4, 0.01), 0.3, "at most .166"),
    ends_at(("projected", 1e-3, 1.0), 0.9, ".971"),
    ends_at(("projected", 1e-3, 0.01), 0.9, ".944"),
    ends_at(("projected", 1e-4, 1.0), 0.8, ".893"),
    ends_at(("projected", 1e-4, 0.01), 0.8, ".892"),
)


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws a panel per constraint; the last with the paper's projected networks."""
    paper = {name(*line): points for line, points in PAPER.items()}
    for rate, decay in itertools.product(RATES, DECAYS):
        arm_name = name(EVERY_UPDATE, rate, decay)
        if arm_name in preset.arms:
            paper[arm_name] = PAPER["projected", rate, decay]
    return drawing.by_constraint(runs, paper, constraints=tuple(PROJECT_EVERY))


def _arms(num_steps: Mapping[float, int], **settings: Any) -> dict[str, Config]:
    lines = [
        *itertools.product(drawing.CONSTRAINTS, RATES, DECAYS),
        *((EVERY_UPDATE, RATES[0], decay) for decay in DECAYS),
    ]
    return {
        name(*line): arm(*line, num_steps=num_steps[line[1]], **settings)
        for line in lines
    }


FIGURE = Figure(
    name="lyle2025/fig2a",
    title="held norms make generalisation fast and sure; free ones need a large decay",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms=_arms(LAPTOP_STEPS),
            num_seeds=3,
            claims=LAPTOP_CLAIMS,
            note="Warm-up of 100 updates (paper: 1000), then constant. What happens "
            "after 3000 updates (at 1e-3 and 1e-4: after 1000) is left out: free "
            "networks that generalise after 30,000 to 760,000, and the levels that "
            "projected ones reach at 1e-3 and 1e-4. Networks projected at every update "
            "are not in the paper's figure; lyle2025/fig2a_long follows one of "
            "the paper's.",
        ),
        "paper": Preset(
            arms=_arms(
                dict.fromkeys(RATES, 1_000_000),
                warmup_steps=1000,
                schedule="cosine",
                eval_every=1000,
            ),
            num_seeds=3,
            claims=PAPER_CLAIMS,
        ),
    },
    draw=draw,
)
