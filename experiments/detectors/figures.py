"""The figure: an example stream, the scores of all detectors, and other settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

import nap_optax
from experiments.detectors.streams import Streams
from experiments.detectors.study import DEFAULTS
from experiments.harness import plots

EXAMPLE = "AR(1) noise, .5"


def draw(kinds: Mapping[str, Streams], results: Mapping[str, Any], path: Path) -> None:
    """Writes the figure."""
    figure, axes = plots.figure(2, 2, width=7.5, height=5.5)
    _example(axes[0, 0], axes[1, 0], kinds[EXAMPLE])
    _table(axes[0, 1], results["table"])
    _sweep(axes[1, 1], results["sweeps"]["cusum"])
    plots.save(figure, path)


def _example(top: Axes, bottom: Axes, kind: Streams) -> None:
    detector = nap_optax.cusum()

    def step(state: Any, value: jax.Array) -> Any:
        state, fired = detector.update(state, value)
        return state, (state.cusum_up, fired)

    loss = kind.values[0]
    evidence, fired = jax.lax.scan(step, detector.init(), jnp.asarray(loss))[1]
    top.plot(loss, color="0.6", linewidth=0.7, label="loss")
    bottom.plot(evidence, color=plots.PALETTE[0], label="evidence of a rise")
    bottom.axhline(
        DEFAULTS["threshold"], color="black", linestyle=":", label="threshold"
    )
    for ax in (top, bottom):
        ax.axvline(
            kind.change_step or 0, color="0.3", linestyle="--", label="the data change"
        )
        for index, at in enumerate(np.flatnonzero(fired)):
            label = "alarm of cusum()" if index == 0 else None
            ax.axvline(float(at), color=plots.PALETTE[1], label=label)
    plots.label(
        top,
        title="A falling loss whose level jumps,\nto far below where it began",
        x="updates",
        y="loss",
    )
    plots.label(
        bottom,
        title="What cusum() gathers: one alarm, then a fresh start\n"
        "(and nothing in the first 400 updates)",
        x="updates",
        y="evidence (long-run std. deviations)",
    )


def _table(ax: Axes, table: Mapping[str, Mapping[str, Any]]) -> None:
    names, labels = list(table), list(next(iter(table.values())))
    shares = np.array(
        [[table[name][label]["share_right"] for label in labels] for name in names]
    )
    _heat(ax, 100 * shares)
    ax.set_xticks(range(len(labels)), [label.replace(" ", "\n", 1) for label in labels])
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(labelsize=8)
    plots.label(
        ax,
        title="Streams without a false alarm and with\nexactly one alarm after the "
        "change (%)",
        x="",
        y="",
    )


def _sweep(ax: Axes, rows: Sequence[Mapping[str, float]]) -> None:
    thresholds = sorted({row["threshold"] for row in rows})
    drifts = sorted({row["drift"] for row in rows})
    shares = np.full((len(drifts), len(thresholds)), np.nan)
    for row in rows:
        place = drifts.index(row["drift"]), thresholds.index(row["threshold"])
        shares[place] = row["share_right"]
    _heat(ax, 100 * shares)
    ax.set_xticks(range(len(thresholds)), [f"{value:g}" for value in thresholds])
    ax.set_yticks(range(len(drifts)), [f"{value:g}" for value in drifts])
    ax.plot(
        thresholds.index(DEFAULTS["threshold"]),
        drifts.index(DEFAULTS["drift"]),
        marker="s",
        markersize=34,
        markerfacecolor="none",
        markeredgecolor=plots.PALETTE[1],
        markeredgewidth=2.5,
    )
    plots.label(
        ax,
        title="The same share for other settings of cusum(),\nmean over simulated "
        "kinds (square: defaults)",
        x="threshold",
        y="drift",
    )


def _heat(ax: Axes, shares: np.ndarray) -> None:
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=140, aspect="auto")
    ax.grid(visible=False)
    for (row, column), share in np.ndenumerate(shares):
        ax.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8)
