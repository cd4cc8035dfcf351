"""A study of our own: a language model whose corpus changes, re-warmed three ways."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.continual_pretraining.config import Config
from experiments.continual_pretraining.family import FAMILY
from experiments.continual_pretraining.figures import mark_change
from experiments.harness import plots
from experiments.reproduce import changing_corpus, claims, drawing
from experiments.reproduce.changing_corpus import (
    ONE_COSINE,
    OPTIMIZERS,
    REWARMED,
    TUNED,
    final,
)
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset, Scale
from experiments.reproduce.growing_data import accuracies
from experiments.reproduce.runs import Runs

RATES = {
    ONE_COSINE: 3e-3,
    REWARMED["AdamW"]: 1e-2,
    REWARMED["nap"]: 1e-2,
    REWARMED["hyperball"]: 1e-2,
}
"""The best of the grid, by `nap/continual_pretraining_rates`."""
DETECTED = {name: f"{name}, cusum" for name in OPTIMIZERS}
PROSE_FIRST = {name: f"prose first: {name}" for name in (REWARMED["nap"], "nap, cusum")}
FREE_READOUT = {name: f"{name}, read-out free" for name in ("nap", "hyperball")}
"""Added when the study had been run and nap had ended above AdamW."""
MARGIN = 0.01
"""The least difference in nats per byte that counts; differences are of pairs of runs
on the same batches and the same validation text."""
SOON = 30
"""Updates."""


def _arms(scale: Scale) -> dict[str, Config]:
    settings = {
        line: {**own, "learning_rate": RATES[line]} for line, own in TUNED.items()
    }
    for name, line in DETECTED.items():
        settings[line] = {**settings[REWARMED[name]], "schedule": "cusum"}
    for name, line in FREE_READOUT.items():
        settings[line] = {**settings[REWARMED[name]], "project_readout": False}
    for line, name in PROSE_FIRST.items():
        settings[name] = {**settings[line], "first": "prose"}
    return {
        name: changing_corpus.arm(own, scale)
        for name, own in sorted(settings.items(), key=lambda item: _order(item[0]))
    }


def _order(name: str) -> int:
    """Arms of one optimizer stand beside each other."""
    pairs = zip(REWARMED.values(), DETECTED.values(), strict=True)
    lines = [ONE_COSINE, *(line for pair in pairs for line in pair)]
    return [*lines, *FREE_READOUT.values(), *PROSE_FIRST.values()].index(name)


def less(runs: Runs, one: str, other: str, metric: str = "new_loss") -> np.ndarray:
    """What an arm's last value is below another's, for each seed."""
    return final(runs, other, metric) - final(runs, one, metric)


def forgotten(runs: Runs, arm: str, change: int) -> np.ndarray:
    """The old corpus's loss at the end less that at the change."""
    return final(runs, arm, "old_loss") - runs.at(arm, change, metric="old_loss")


def delay(runs: Runs, arm: str, change: int) -> np.ndarray:
    """Updates from the change to the last re-warm; infinity without one."""
    last = final(runs, arm, "last_rewarm_step")
    return np.where(last < 0, np.inf, last - change)


def kept(runs: Runs, arm: str, change: int) -> np.ndarray:
    """The second phase's relative update over the first's, at equal learning rates.

    That is the median of the relative update over the learning rate in each phase.
    """
    steps, relative = runs.curve(arm, "relative_update")
    per_rate = relative / runs.curve(arm, "learning_rate")[1]
    after, before = (
        np.median(per_rate[:, part], axis=1)
        for part in (steps > change, steps <= change)
    )
    return after / before


def _claims(change: int) -> tuple[Claim, ...]:
    def claim(says: str, measure: Callable[..., Any], *args: Any, **bounds: Any) -> Any:
        return Claim(says, functools.partial(_call, measure, args), **bounds)

    adamw, nap, hyperball = REWARMED.values()
    return (
        *(
            claim(
                f"new corpus, both re-warmed: {name} ends below AdamW by, in nats",
                *(less, REWARMED[name], adamw),
                at_least=MARGIN,
            )
            for name in ("nap", "hyperball")
        ),
        claim(
            "new corpus: AdamW re-warmed ends below AdamW with one cosine by",
            *(less, adamw, ONE_COSINE),
            at_least=MARGIN,
        ),
        *(
            claim(
                f"{line}: it fires once: re-warms",
                *(final, line, "num_rewarms"),
                at_least=1,
                at_most=1,
            )
            for line in DETECTED.values()
        ),
        *(
            claim(
                f"{line}: soon after the change: updates until the last re-warm",
                *(delay, line, change),
                at_least=0,
                at_most=SOON,
            )
            for line in DETECTED.values()
        ),
        *(
            claim(
                f"{name}: cusum ends as low as the signal on the new corpus: below by",
                *(less, line, REWARMED[name]),
                at_least=-MARGIN,
            )
            for name, line in DETECTED.items()
        ),
        *(
            claim(
                f"{name} forgets no more than AdamW, both re-warmed: what the old "
                "corpus's loss rises by, less AdamW's",
                lambda runs, name: (
                    forgotten(runs, REWARMED[name], change)
                    - forgotten(runs, adamw, change)
                ),
                name,
                at_most=5 * MARGIN,
            )
            for name in ("nap", "hyperball")
        ),
        claim(
            "nap's relative update is what the schedule says: after the change over "
            "before it, at equal rates",
            *(kept, nap, change),
            at_least=0.9,
            at_most=1.1,
        ),
        claim(
            "so is hyperball's",
            *(kept, hyperball, change),
            at_least=0.95,
            at_most=1.05,
        ),
        claim("AdamW's falls", *(kept, adamw, change), at_most=0.8),
        claim(
            "AdamW's norms grow: at the end, over those of the first weights, which "
            "nap holds",
            lambda runs: (
                final(runs, adamw, "weight_norm") / final(runs, nap, "weight_norm")
            ),
            at_least=1.2,
        ),
        claim(
            "prose first, whose loss is no lower than that of code: cusum fires once "
            "as well",
            *(final, PROSE_FIRST["nap, cusum"], "num_rewarms"),
            at_least=1,
            at_most=1,
        ),
        *(
            claim(
                f"added later: {name} with the read-out free ends below {name} with "
                "it held by",
                *(less, line, REWARMED[name]),
                at_least=MARGIN,
            )
            for name, line in FREE_READOUT.items()
        ),
    )


def _call(measure: Callable[..., Any], args: tuple[Any, ...], runs: Runs) -> Any:
    return measure(runs, *args)


def table(runs: Runs, preset: Preset) -> str:
    """Losses, forgetting, norms, relative updates and re-warms of each arm."""
    rows = []
    for name, config in preset.arms.items():
        change = config.phase_steps
        rows.append(
            (
                name,
                f"{config.learning_rate:g}",
                accuracies(runs.at(name, change, metric="old_loss")),
                accuracies(final(runs, name, "old_loss")),
                accuracies(final(runs, name, "new_loss")),
                claims.spread(kept(runs, name, change)),
                claims.spread(final(runs, name, "weight_norm")),
                claims.spread(final(runs, name, "num_rewarms")),
                claims.spread(delay(runs, name, change), never="none"),
            )
        )
    header = (
        *("arm", "peak rate", "old corpus at the change", "old corpus at the end"),
        *("new corpus at the end", "relative update kept", "weight norm"),
        *("re-warms", "updates after the change"),
    )
    return claims.table(header, rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Losses, relative updates and norms; beside them the other order.

    Of the arms with a detector one is drawn, for they lie on those with a signal.
    """
    figure, axes = plots.figure(2, 3, width=4.2, height=2.9)
    apart = {DETECTED["AdamW"], DETECTED["hyperball"], *PROSE_FIRST.values()}
    main = {name: name for name in preset.arms if name not in apart}
    own_colors = dict(zip(main, drawing.colors(len(main)), strict=True))
    panels = {
        "old_loss": "loss on the old corpus",
        "new_loss": "loss on the new corpus",
        "relative_update": "relative update",
        "weight_norm": "norm of all matrices",
    }
    for ax, (metric, label) in zip(axes[:, :2].flat, panels.items(), strict=True):
        drawing.panel(ax, runs, main, metric=metric)
        ax.set(ylabel=label)
    plots.log_scale(axes[1, 0])
    other = {name: line for line, name in PROSE_FIRST.items()}
    shades = [own_colors[line] for line in other.values()]
    drawing.panel(axes[0, 2], runs, other, metric="new_loss", own_colors=shades)
    axes[0, 2].set(ylabel="loss on the new corpus", title="prose first, then code")
    missed = "nap, cusum"
    firsts = {missed: f"code first: {missed}", PROSE_FIRST[missed]: PROSE_FIRST[missed]}
    drawing.panel(axes[1, 2], runs, firsts, metric="train_loss")
    axes[1, 2].set(ylabel="training loss")
    axes[1, 2].legend(frameon=False, fontsize="x-small")
    axes[0, 0].set(title="code first, then prose")
    for ax in axes.flat:
        mark_change(ax, next(iter(preset.arms.values())))
    for ax in axes[1]:
        ax.set(xlabel="updates")
    drawing.legend(axes[0, 2], of=axes[0, 0])
    return figure


def _preset(scale: Scale) -> Preset:
    arms = _arms(scale)
    return Preset(
        arms=arms,
        num_seeds=3,
        claims=_claims(next(iter(arms.values())).phase_steps),
        note=changing_corpus.NOTES[scale],
    )


FIGURE = Figure(
    name="nap/continual_pretraining",
    title="a language model whose corpus changes: re-warmed, held and detected",
    family=FAMILY,
    presets={scale: _preset(scale) for scale in changing_corpus.SIZES},
    draw=draw,
    table=table,
)
