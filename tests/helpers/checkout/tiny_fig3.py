"""Figure 3 of Lyle et al. (2025) with its eight arms, at a size that takes seconds."""

import dataclasses

from experiments.reproduce.figures.lyle2025 import fig3

SIZES = {
    **{"modulus": 7, "train_fraction": 0.5, "num_heads": 2, "head_dim": 4},
    **{"mlp_dim": 16, "num_steps": 24, "eval_every": 4, "warmup_steps": 2},
}
DELAYS = dict(zip(fig3.PAPER_DELAYS, (0, 4, 8, 12), strict=True))


def _preset(preset):
    arms = {
        name: dataclasses.replace(arm, delay_steps=DELAYS[arm.delay_steps], **SIZES)
        for name, arm in preset.arms.items()
    }
    return dataclasses.replace(preset, arms=arms, num_seeds=1, claims=())


FIGURE = dataclasses.replace(
    fig3.FIGURE,
    name="test/fig3",
    presets={"laptop": _preset(fig3.FIGURE.presets["paper"])},
)
