"""Draws one picture for each transformation: norm and relative update over time.

    python -m docs.pictures          # all of them, about a minute of one core
    python -m docs.pictures nap      # some

A network of three matrices and a normalisation scale learns random labels, which are
drawn anew at every `CHANGE` updates. Each picture follows one or more leaves of it.
"""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

import nap_optax
from experiments.harness import plots

IMAGES = Path(__file__).parent / "images" / "transformations"
CHANGE, UPDATES = 300, 900
EXAMPLES, INPUTS, WIDTH, CLASSES = 128, 32, 32, 10
RATE = 1e-2

adam = functools.partial(optax.scale_by_adam, b2=0.95)
project = nap_optax.project_weights
by_rate = functools.partial(optax.scale_by_learning_rate, RATE)
OUTPUT = nap_optax.masks.by_path([("output/.*", True), (".*", False)])


class Curve(NamedTuple):
    """One line: of which transformation, and of which leaf."""

    label: str
    tx: optax.GradientTransformation
    leaf: str = "second/kernel"


def cycles() -> optax.Schedule:
    return nap_optax.schedules.warmup_cosine_decay(
        RATE, warmup_steps=30, decay_steps=CHANGE
    )


def rewarmed(*last: Any, detector: Any = None) -> optax.GradientTransformation:
    rate = nap_optax.scale_by_rewarming(cycles(), detector=detector)
    return optax.chain(adam(), rate, *last)


def trained(*parts: Any, last: Sequence[Any] = ()) -> optax.GradientTransformation:
    """Adam, what is given, the rate, and what comes after the rate."""
    return optax.chain(adam(), *parts, by_rate(), *last)


def long_memory(direction: Any) -> optax.GradientTransformation:
    return optax.chain(direction, by_rate(), project())


def layers(tx: optax.GradientTransformation) -> list[Curve]:
    return [Curve(name, tx, f"{name}/kernel") for name in ("first", "second", "output")]


FREE = trained()
HELD = trained(last=[project()])
NAP = nap_optax.nap(adam(), cycles(), detector=nap_optax.every(CHANGE))
SCALE = "norm/scale"


def pictures() -> dict[str, list[Curve]]:
    every = nap_optax.every(CHANGE)
    return {
        "project_weights": [Curve("without", FREE), Curve("with", HELD)],
        "scale_by_rewarming": [
            Curve("schedule alone", rewarmed(project())),
            Curve("re-warmed every 300", rewarmed(project(), detector=every)),
        ],
        "restart": [
            Curve("without, β₂ = .999", long_memory(optax.scale_by_adam())),
            Curve(
                "restarted every 300",
                long_memory(nap_optax.restart(optax.scale_by_adam(), detector=every)),
            ),
        ],
        "decay_scales": [
            Curve("without", FREE, SCALE),
            Curve("decay 1", trained(nap_optax.decay_scales(1.0)), SCALE),
        ],
        "l2_init": [
            Curve("without", FREE),
            Curve("strength 0.2", trained(nap_optax.l2_init(0.2))),
        ],
        "spectral_regularization": [
            Curve("without", FREE),
            Curve(
                "strength 0.01", trained(nap_optax.spectral_regularization(0.01, 2.0))
            ),
        ],
        "clip_weights": [
            Curve("without", FREE),
            Curve("multiplier 2", trained(last=[nap_optax.clip_weights(2.0)])),
        ],
        "measure_elr": [
            Curve("free", trained(last=[nap_optax.measure_elr()])),
            Curve("held", trained(last=[project(), nap_optax.measure_elr()])),
        ],
        "hold_elr": [
            Curve("without", FREE),
            Curve("hold_elr", trained(last=[nap_optax.hold_elr()])),
            Curve("project_weights", HELD),
        ],
        "limit_elr": [
            Curve("without", HELD),
            Curve("at most 0.02", trained(last=[nap_optax.limit_elr(0.02), project()])),
        ],
        "scale_by_layer": layers(
            trained(
                last=[
                    nap_optax.scale_by_layer(
                        {"first": 1.0, "second": 0.3, "norm": 1.0, "output": 0.1}
                    ),
                    project(),
                ]
            )
        ),
        "fast_features": layers(
            trained(last=[nap_optax.fast_features(OUTPUT), project()])
        ),
        "slow_features": layers(
            trained(last=[nap_optax.slow_features(OUTPUT), project()])
        ),
        "even_ratio": layers(trained(last=[nap_optax.even_ratio(), project()])),
        "hyperball": [
            Curve("nap", nap_optax.nap(adam(), 0.02)),
            Curve("hyperball", nap_optax.hyperball(adam(), 0.02)),
        ],
        "nap": [Curve("schedule, free", rewarmed(detector=every)), Curve("nap", NAP)],
        "leaf_by_leaf": [
            Curve("nap", NAP),
            Curve("leaf by leaf", nap_optax.leaf_by_leaf(NAP)),
        ],
    }


def init(key: jax.Array) -> dict[str, Any]:
    shapes = {
        "first": (INPUTS, WIDTH),
        "second": (WIDTH, WIDTH),
        "output": (WIDTH, CLASSES),
    }
    params: dict[str, Any] = {
        name: {"kernel": jax.random.normal(key, shape) * (2 / shape[0]) ** 0.5}
        for key, (name, shape) in zip(
            jax.random.split(key, 3), shapes.items(), strict=True
        )
    }
    return params | {"norm": {"scale": jnp.ones(WIDTH)}}


def loss_fn(params: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
    x = x @ params["first"]["kernel"]
    x = jax.nn.relu(jax.nn.standardize(x) * params["norm"]["scale"])
    x = jax.nn.relu(x @ params["second"]["kernel"])
    logits = x @ params["output"]["kernel"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@functools.cache
def train(tx: optax.GradientTransformation) -> dict[str, dict[str, np.ndarray]]:
    """Norms and relative updates of each leaf, by name, after each update."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (EXAMPLES, INPUTS))
    labels = jax.random.randint(keys[1], (UPDATES // CHANGE, EXAMPLES), 0, CLASSES)
    tx = optax.with_extra_args_support(tx)

    def step(carry: Any, t: jax.Array) -> Any:
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, x, labels[t // CHANGE])
        updates, state = tx.update(grads, state, params, value=loss)
        relative = nap_optax.effective_learning_rate(updates, params)
        params = optax.apply_updates(params, updates)
        return (params, state), {
            "norm": jax.tree.map(jnp.linalg.norm, params),
            "relative": relative,
        }

    params = init(keys[2])
    _, log = jax.lax.scan(step, (params, tx.init(params)), jnp.arange(UPDATES))
    return {
        what: {
            nap_optax.masks.path_name(path): np.asarray(leaf)
            for path, leaf in jax.tree.leaves_with_path(tree)
        }
        for what, tree in log.items()
    }


def draw(curves: Sequence[Curve]) -> bytes:
    """The picture as a PNG of few colours."""
    figure, axes = plots.figure(columns=2, width=4.2, height=2.6)
    norm, relative = axes[0]
    for number, (label, tx, leaf) in enumerate(curves):
        log = train(tx)
        style = {"label": label, "ls": "--" if number else "-", "lw": 1.3}
        norm.plot(log["norm"][leaf], **style)
        smooth = np.convolve(log["relative"][leaf], np.ones(5) / 5, "valid")
        relative.plot(smooth, **style)
    for axis in (norm, relative):
        axis.set_ylim(0, 1.1 * max(line.get_ydata().max() for line in axis.lines))
    plots.label(norm, title="weight norm", x="update", y="")
    legend = norm.get_legend()  # lines may cross it
    legend.set_frame_on(True)
    legend.get_frame().set(facecolor="white", alpha=0.85, linewidth=0)
    relative.set(title="relative update (mean of 5)", xlabel="update")
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, dpi=90)
    Image.open(raw).convert("RGB").quantize(48).save(small, "png", optimize=True)
    return small.getvalue()


def main(names: Sequence[str]) -> None:
    """Draws those of these names, or all."""
    known = pictures()
    unknown = set(names) - set(known)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in names or known:
        (IMAGES / f"{name}.png").write_bytes(draw(known[name]))
        print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
