"""A user's own figure, found by its module: arms of parity in two programs."""

import functools

from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.runs import Runs
from helpers.checkout.parity.config import Config
from helpers.checkout.parity.family import FAMILY


def draw(runs, preset):
    from experiments.harness import plots
    from experiments.reproduce import drawing

    figure, axes = plots.figure()
    drawing.panel(axes[0, 0], runs, {arm: arm for arm in preset.arms})
    return figure


def _preset(num_steps, eval_every, **sizes):
    def arm(**changes):
        return Config(
            num_steps=num_steps, eval_every=eval_every, **{**sizes, **changes}
        )

    claim = Claim("it learns", functools.partial(Runs.late, arm="fast"), at_least=0)
    arms = {"slow": arm(learning_rate=0.01), "fast": arm(), "wide": arm(width=16)}
    return Preset(arms=arms, num_seeds=2, claims=(claim,))


FIGURE = Figure(
    name="test/parity",
    title="parity is learned",
    family=FAMILY,
    presets={
        "laptop": _preset(8, 2, num_bits=4, width=4),
        # A job lasts for several seconds, for those who kill it.
        "paper": _preset(80_000, 200, num_bits=8, width=12),
    },
    draw=draw,
)
