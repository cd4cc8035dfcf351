"""Figure 3 of Lyle et al. (2025): grokking at arbitrary points in training."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.harness import plots
from experiments.reproduce import drawing
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs

PEAKS = (1e-2, 1e-3)
PAPER_DELAYS = (0, 20_000, 100_000, 500_000)
REWARM_STEPS = {0: 3000, 500: 1200, 1000: 1200, 2000: 1200}
"""Number of updates after each delay. Without a delay it takes longer, also in the
paper's figure."""

# updates:value read off figure 3 of arXiv 2507.20057, by peak and delay. The curve
# at 1e-3 after 100,000 updates could not be read.
PAPER_ACCURACY: dict[tuple[float, int], drawing.Points] = {
    (1e-2, 0): drawing.points(
        "1000:.2346 2000:.916 3000:.96 20000:.822 100000:.937 250000:.93 "
        "500000:.9926 750000:1 1000000:1"
    ),
    (1e-2, 20000): drawing.points(
        "20000:.203 30000:.978 40000:.73 100000:.957 250000:.918 500000:.999 "
        "750000:1 1000000:1"
    ),
    (1e-2, 100000): drawing.points(
        "100000:.203 110000:.917 500000:.98 750000:1 1000000:.9999"
    ),
    (1e-2, 500000): drawing.points(
        "500000:.2037 510000:.9956 520000:.951 560000:.8535 660000:.8485 "
        "750000:.9967 840000:1 1000000:1"
    ),
    (0.001, 0): drawing.points(
        "1000:.2003 20000:.2051 100000:.2081 250000:.2096 500000:.2104 1000000:.2098"
    ),
    (0.001, 20000): drawing.points(
        "20000:.1988 30000:.2053 100000:.2122 500000:.2203 1000000:.2195"
    ),
    (0.001, 500000): drawing.points("500000:.203 1000000:.204"),
}
PAPER_CHANGE: dict[tuple[float, int], drawing.Points] = {
    (1e-2, 0): drawing.points(
        "1000:.1505 2000:.1646 20000:.1508 100000:.1523 250000:.137 "
        "500000:.0956 750000:.0074 1000000:.0003"
    ),
    (1e-2, 100000): drawing.points(
        "110000:.1342 160000:.1687 250000:.1337 500000:.1146 750000:.0172 1000000:.0003"
    ),
    (1e-2, 500000): drawing.points(
        "510000:.1726 520000:.1467 600000:.1471 750000:.1107 900000:.0031 1000000:.0004"
    ),
    (0.001, 0): drawing.points("1000:.0442 2000:.0174 5000:.0086 20000:.0046"),
    (0.001, 500000): drawing.points(
        "510000:.0047 600000:.0031 750000:.002 1000000:.0005"
    ),
}
PAPER_CROSSING = {
    0: ".916 after 2000 updates, .993 after 500,000",
    20_000: ".978 at the next point, 10,000 updates later",
    100_000: ".998, .907, .850 at the next point, 10,000 updates later",
    500_000: ".996 at the next point, 10,000 updates later",
}


def name(peak: float, delay: int) -> str:
    """Names an arm."""
    return f"re-warmed to {peak:g} after {delay}"


def laptop_arm(peak: float, delay: int) -> Config:
    """Makes an arm with a short delay and then some updates; the last 200 cool down."""
    return Config(
        num_steps=delay + REWARM_STEPS[delay],
        delay_steps=delay,
        learning_rate=peak,
        cooldown_steps=200,
        normalize=True,
        scale_decay=1.0,
    )


def paper_arm(peak: float, delay: int) -> Config:
    """Makes an arm of the paper's million updates, with warm-up and cosine."""
    return Config(
        num_steps=1_000_000,
        delay_steps=delay,
        learning_rate=peak,
        warmup_steps=1000,
        schedule="cosine",
        normalize=True,
        scale_decay=1.0,
        eval_every=1000,
    )


def _claims(updates: Mapping[int, int]) -> tuple[Claim, ...]:
    delays = tuple(updates)
    longest = delays[-1]

    def change_ratio(runs: Runs) -> np.ndarray:
        high, low = (
            runs.highest(
                name(peak, longest), metric="activation_pattern_change", since=longest
            )
            for peak in PEAKS
        )
        return high / low

    generalises = [
        claim
        for delay, paper_delay in zip(delays, PAPER_DELAYS, strict=True)
        for claim in (
            Claim(
                says=f"re-warmed to {PEAKS[0]:g} after {delay} updates, it "
                "generalises: updates until test accuracy .99",
                measure=functools.partial(
                    Runs.first_step, arm=name(PEAKS[0], delay), level=0.99, since=delay
                ),
                at_most=updates[delay],
                paper=PAPER_CROSSING[paper_delay],
            ),
            Claim(
                says="and it stays: test accuracy at the end",
                measure=functools.partial(Runs.late, arm=name(PEAKS[0], delay), last=5),
                at_least=0.95,
                paper="1.0",
            ),
        )
    ]
    return (
        *generalises,
        Claim(
            says="before the re-warm it has only memorised: test accuracy at update "
            f"{longest}",
            measure=lambda runs: runs.at(name(PEAKS[0], longest), longest),
            at_most=0.25,
            paper=".204",
        ),
        Claim(
            says=f"re-warmed to {PEAKS[1]:g}, it never generalises: highest test "
            "accuracy, all delays",
            measure=lambda runs: np.max(
                [runs.highest(name(PEAKS[1], delay)) for delay in delays], axis=0
            ),
            at_most=0.25,
            paper=".220",
        ),
        Claim(
            says="activation patterns change more at the higher peak: highest change "
            f"after {longest}, {PEAKS[0]:g} over {PEAKS[1]:g}",
            measure=change_ratio,
            at_least=2,
            paper="36 (.17 over .0047), over longer intervals",
        ),
    )


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws accuracy and change of activation patterns since the re-warm."""
    figure, axes = plots.figure(2, 2, width=5.5, height=3.2)
    starts = {arm: config.delay_steps for arm, config in preset.arms.items()}
    delays = tuple(dict.fromkeys(starts.values()))
    for column, peak in enumerate(PEAKS):
        labels = {name(peak, delay): f"after {delay:,} updates" for delay in delays}
        for row, (metric, points) in enumerate(
            (
                ("test_accuracy", PAPER_ACCURACY),
                ("activation_pattern_change", PAPER_CHANGE),
            )
        ):
            ax = axes[row, column]
            drawing.panel(
                ax,
                runs,
                labels,
                metric=metric,
                since=starts,
                paper={
                    name(peak, ours): [(x - theirs, y) for x, y in points[peak, theirs]]
                    for ours, theirs in zip(delays, PAPER_DELAYS, strict=True)
                    if (peak, theirs) in points
                },
            )
            drawing.log_updates(ax, smallest=100)
            ax.axvline(0, color="0.3", linestyle="--", linewidth=1)
        axes[0, column].set(title=f"re-warmed to {peak:g}", ylim=(-0.03, 1.05))
        axes[1, column].set(xlabel="updates since the re-warm")
    axes[0, 0].set(ylabel="test accuracy")
    axes[1, 0].set(ylabel="share of ReLUs that flip\nbetween two evaluations")
    drawing.legend(axes[0, 1], title="re-warmed (paper: 0, 20k, 100k, 500k)")
    return figure


FIGURE = Figure(
    name="lyle2025/fig3",
    title="re-warming the effective learning rate makes a memorising network "
    "generalise, whenever it happens",
    family=FAMILY,
    presets={
        "laptop": Preset(
            arms={
                name(peak, delay): laptop_arm(peak, delay)
                for peak in PEAKS
                for delay in REWARM_STEPS
            },
            num_seeds=3,
            claims=_claims(REWARM_STEPS),
            note="Delays of 0 to 2000 updates stand for the paper's 0 to 500,000, and "
            "1200 updates (without delay 3000; 100 of warm-up, 200 of cool-down) for "
            "its cosine over the rest of a million.",
        ),
        "paper": Preset(
            arms={
                name(peak, delay): paper_arm(peak, delay)
                for peak in PEAKS
                for delay in PAPER_DELAYS
            },
            num_seeds=3,
            claims=_claims(dict.fromkeys(PAPER_DELAYS, 500_000)),
        ),
    },
    draw=draw,
)
