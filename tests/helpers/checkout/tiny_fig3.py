"""Figure 3 of Lyle et al. (2025) with its eight arms, at a size that takes seconds."""

import dataclasses

from experiments.reproduce.figure import Preset
from experiments.reproduce.figures.lyle2025 import fig3

SIZES = {
    **{"modulus": 7, "train_fraction": 0.5, "num_heads": 2, "head_dim": 4},
    **{"mlp_dim": 16, "num_steps": 24, "eval_every": 4, "warmup_steps": 2},
}
DELAYS = dict(zip(fig3.PAPER_DELAYS, (0, 4, 8, 12), strict=True))


def arm(peak, delay):
    own = fig3.paper_arm(peak, delay)
    return dataclasses.replace(own, delay_steps=DELAYS[delay], **SIZES)


FIGURE = dataclasses.replace(
    fig3.FIGURE,
    name="test/fig3",
    presets={
        "laptop": Preset(
            arms={
                fig3.name(peak, DELAYS[delay]): arm(peak, delay)
                for peak in fig3.PEAKS
                for delay in DELAYS
            },
            num_seeds=1,
            claims=(),
        )
    },
)
