"""Projection of half a billion parameters beside Adam and two peers."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import nap_optax
from benchmarks.accelerator.figures import Figures, digits, milliseconds, ratio
from benchmarks.machine import memory_bandwidth
from benchmarks.projection import ADAM_ARRAYS, Run, random_leaves
from experiments.harness.timing import seconds_in_turns

RATE = 1e-3
STEPS = 16
"""Steps of a round: as many as from one restoration to the next."""


def usual_hyperball(rate: float) -> optax.GradientTransformation:
    """Hyperball as published implementations have it, which hold the current norm."""
    adam = optax.scale_by_adam()

    def norm(leaf: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum(jnp.square(leaf.astype(jnp.float32)))).astype(
            leaf.dtype
        )

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        directions, state = adam.update(grads, state, params)

        def one(weight: jax.Array, direction: jax.Array) -> jax.Array:
            radius = norm(weight)
            moved = weight - rate * radius * direction / jnp.maximum(
                norm(direction), 1e-10
            )
            return moved / norm(moved) * radius - weight

        return jax.tree.map(one, params, directions), state

    return optax.GradientTransformation(adam.init, update)


def _optimizers() -> dict[str, optax.GradientTransformation]:
    adam = optax.adam(RATE)
    return {
        "adam": adam,
        "adam + project_weights()": optax.chain(adam, nap_optax.project_weights()),
        "adam + project_weights(every=16)": optax.chain(
            adam, nap_optax.project_weights(every=16)
        ),
        "nap": nap_optax.nap(optax.scale_by_adam(), RATE),
        "adamw": optax.adamw(RATE),
        "hyperball": nap_optax.hyperball(optax.scale_by_adam(), RATE),
        "usual hyperball": usual_hyperball(RATE),
    }


def projection(small: bool) -> Figures:
    """Measures milliseconds of an update, the ratio to Adam's, and temporaries."""
    side = 128 if small else 6400
    bandwidth = memory_bandwidth(1 << (22 if small else 30))
    found: Figures = {}
    for dtype in (jnp.float32, jnp.bfloat16):
        params, grads = (random_leaves(seed, (side, side), dtype) for seed in (0, 1))
        runs = {name: Run(tx, params, grads) for name, tx in _optimizers().items()}

        def some(run: Run) -> Any:
            for _ in range(STEPS):
                run.params, run.state = run.step(run.params, run.state, run.grads)
            return run.params

        turns = {name: (lambda run=run: some(run)) for name, run in runs.items()}
        seconds_in_turns(turns, num_rounds=1)  # warms up
        times = seconds_in_turns(turns, num_rounds=7)
        kind = jnp.dtype(dtype).name
        floor = ADAM_ARRAYS * sum(leaf.nbytes for leaf in params) / bandwidth
        found[f"{kind}, floor of adam, ms"] = digits(1e3 * floor)
        for name, seconds in times.items():
            found[f"{kind}, {name}, ms"] = milliseconds(seconds, STEPS)
            found[f"{kind}, {name}, over adam"] = ratio(seconds, times["adam"])
            found[f"{kind}, {name}, temporaries in leaves"] = digits(
                runs[name].temporary_leaves
            )
        for ours, peer in (("nap", "adamw"), ("hyperball", "usual hyperball")):
            found[f"{kind}, {ours} over {peer}"] = ratio(times[ours], times[peer])
        del runs, turns
    return found
