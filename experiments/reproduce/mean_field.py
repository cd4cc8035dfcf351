"""What the figures of mean-field theory share: networks beside it, and distances."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.harness import plots
from experiments.lazy_rich.dmft.config import Config
from experiments.reproduce import claims, drawing, lazy_rich
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs

DIMENSION = 300
NUM_NETWORKS = 40
PARTS = {"train_loss": "training", "test_loss": "test"}


def simulate(preset: Preset) -> Mapping[str, Any]:
    """Mean losses of finite networks with the units of each arm, by arm and metric."""
    return {"simulated": {arm: _network(own) for arm, own in preset.arms.items()}}


def _network(config: Config) -> dict[str, list[float]]:
    import jax

    from experiments.harness.members import hyperparameters
    from experiments.lazy_rich.dmft.experiment import setting_of
    from experiments.lazy_rich.dmft.simulate import simulate as run

    setting = setting_of(config, hyperparameters(config))

    @jax.jit
    def all_networks(keys: jax.Array) -> Any:
        return jax.lax.map(
            lambda key: run(
                key,
                setting,
                dimension=DIMENSION,
                num_train=round(config.nu * DIMENSION),
                num_steps=config.num_steps,
                center=config.center,
            ),
            keys,
        )

    found = all_networks(jax.random.split(jax.random.key(0), NUM_NETWORKS))
    curves = {name: np.asarray(getattr(found, name), float) for name in PARTS}
    return {name: curve.mean(axis=0).tolist() for name, curve in curves.items()} | {
        f"{name}_error": (curve.std(axis=0, ddof=1) / NUM_NETWORKS**0.5).tolist()
        for name, curve in curves.items()
    }


def simulated(runs: Runs, arm: str, metric: str) -> np.ndarray:
    """The mean of the networks at the steps of the theory."""
    steps, _ = runs.curve(arm, metric)
    return np.asarray(runs.extra["simulated"][arm][metric])[steps]


def initial(runs: Runs, arm: str, metric: str) -> float:
    """The networks' loss before the first update, when overlaps equal the theory's."""
    return float(runs.extra["simulated"][arm][metric][0])


def distance(runs: Runs, arm: str, metric: str) -> np.ndarray:
    """The theory's distance from the networks, over their norm, along the run."""
    _, theory = runs.curve(arm, metric)
    networks = simulated(runs, arm, metric)
    return np.linalg.norm(theory - networks, axis=1) / np.linalg.norm(networks)


def own_error(runs: Runs, arm: str, metric: str) -> float:
    """The networks' standard error over their norm, along the run."""
    steps, _ = runs.curve(arm, metric)
    errors = np.asarray(runs.extra["simulated"][arm][f"{metric}_error"])[steps]
    networks = simulated(runs, arm, metric)
    return float(np.linalg.norm(errors) / np.linalg.norm(networks))


def agrees(arms: Sequence[str]) -> tuple[Claim, ...]:
    """Claims that theory and networks agree, in training and test loss."""

    def largest(metric: str) -> Claim:
        return Claim(
            says=f"theory and networks agree: the largest relative distance of their "
            f"{PARTS[metric]} losses, of all arms",
            measure=lambda runs: np.max(
                [distance(runs, arm, metric) for arm in arms], axis=0
            ),
            at_most=0.08,
            paper="they agree",
        )

    return tuple(largest(metric) for metric in PARTS)


def table(runs: Runs, preset: Preset) -> str:
    """Distances, and the losses at the end."""
    rows = []
    for arm in preset.arms:
        cells = []
        for metric in PARTS:
            away, own = distance(runs, arm, metric), own_error(runs, arm, metric)
            end = simulated(runs, arm, metric)[-1]
            cells += [
                f"{claims.spread(away)} ({claims.number(own)})",
                f"{claims.spread(lazy_rich.final(runs, arm, metric))} "
                f"({claims.number(float(end))})",
            ]
        rows.append((arm, *cells))
    header = [
        f"{label} loss: {what}"
        for label in PARTS.values()
        for what in ("distance (networks' own error)", "at the end (networks)")
    ]
    return claims.table(("arm", *header), rows)


def draw(runs: Runs, preset: Preset) -> Any:
    """Draws theory as lines and networks as marks: training and test loss."""
    figure, axes = plots.figure(1, len(PARTS), width=4.6, height=3.4)
    colors = drawing.shades(len(preset.arms))
    for ax, (metric, label) in zip(axes[0], PARTS.items(), strict=True):
        for arm, color in zip(preset.arms, colors, strict=True):
            steps, values = runs.curve(arm, metric)
            plots.line_with_spread(ax, steps, values, label=arm, color=color)
            some = slice(None, None, max(len(steps) // 15, 1))
            ax.plot(
                steps[some], simulated(runs, arm, metric)[some], "o", color=color, ms=3
            )
        ax.set(xlabel="updates", ylabel=f"{label} loss")
        ax.set_ylim(bottom=0)
    axes[0, -1].plot([], [], "o", color="0.3", ms=3, label="networks")
    drawing.legend(axes[0, -1])
    return figure
