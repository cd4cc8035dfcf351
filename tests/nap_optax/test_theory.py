"""The theory of the effective learning rate, in float64; see docs/theory.md.

`pytest -rP` shows what is measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.x64 import enable_x64
from nap_optax import (
    hold_elr,
    measure_elr,
    nominal_effective_learning_rate,
    project_weights,
    scale_by_layer,
)

NUM_STEPS = 60
# The initial standard deviations differ, so that layers' norms grow differently.
SHAPES = {"w1": ((8, 16), 0.3), "w2": ((16, 16), 1.0), "w3": ((16, 4), 0.4)}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    # Optax's own arithmetic mixes dtypes under x64.
    with enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


# A network whose loss does not depend on the scale of any matrix.


def rms_normalised(h: jax.Array) -> jax.Array:
    return h / jnp.sqrt(jnp.mean(h**2, axis=-1, keepdims=True))


@functools.cache
def task() -> tuple[Any, jax.Array, jax.Array]:
    keys = iter(jax.random.split(jax.random.key(0), len(SHAPES) + 2))
    params = {
        name: std * jax.random.normal(next(keys), shape)
        for name, (shape, std) in SHAPES.items()
    }
    inputs = jax.random.normal(next(keys), (32, 8))
    return params, inputs, jax.random.randint(next(keys), (32,), 0, 4)


def loss(params: Any) -> jax.Array:
    # Not ReLU: the gradient of a unit that never fires is zero but for rounding, since
    # a normalisation follows, and sign descent would follow the rounding errors.
    labels = task()[2]
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(
        logits(params), labels
    )
    return losses.mean()


def logits(params: Any) -> jax.Array:
    """The function on all 32 inputs, shape (32, 4)."""
    h = jnp.tanh(rms_normalised(task()[1] @ params["w1"]))
    h = jnp.tanh(rms_normalised(h @ params["w2"]))
    return rms_normalised(h @ params["w3"])


class Training(NamedTuple):
    """What each step finds and does, and the last parameters."""

    losses: np.ndarray
    functions: np.ndarray  # the logits on all inputs, shape (steps, 32, 4)
    relative_updates: Any
    params: Any


def trainer(make: Callable[..., Any]) -> Callable[..., Training]:
    """Compiles a training run as a function of params and of what `make` takes."""

    @jax.jit
    def compiled(params: Any, *arguments: Any) -> Training:
        tx = optax.chain(make(*arguments), measure_elr())

        def step(carry: Any, _: Any) -> Any:
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params)
            updates, state = tx.update(grads, state, params)
            measured = state[-1].relative_update
            found = (value, logits(params), measured)
            return (optax.apply_updates(params, updates), state), found

        carry = (params, tx.init(params))
        (params, _), found = jax.lax.scan(step, carry, length=NUM_STEPS)
        return Training(*found, params)

    return compiled


def gap(one: Training, other: Training) -> float:
    return float(np.max(np.abs(one.losses - other.losses)))


def function_gap(one: Training, other: Training) -> float:
    return float(np.max(np.abs(one.functions - other.functions)))


def show(what: str, one: Training, other: Training) -> None:
    print(f"{what}: loss {gap(one, other):.1e}, logits {function_gap(one, other):.1e}")


def unit_norm() -> Any:
    """Normalised descent, leaf by leaf."""
    return optax.stateless(
        lambda updates, _: jax.tree.map(lambda u: u / jnp.linalg.norm(u), updates)
    )


def descend(learning_rate: float) -> Any:
    return optax.scale_by_learning_rate(learning_rate)


# Name: direction, power of the norm in its effective learning rate, learning rate.
# Rates at which training is stable: beyond, rounding errors grow like any other.
MEMORYLESS = {
    "gradient descent": (optax.identity, 2, 0.15),
    "sign descent": (optax.scale_by_sign, 1, 0.01),
    "normalised descent": (unit_norm, 1, 0.1),
}
WITH_MEMORY = {
    "momentum": (lambda: optax.trace(0.9), 2, 0.01),
    "Adam": (lambda: optax.scale_by_adam(eps=0.0), 1, 0.01),
}
ALL = MEMORYLESS | WITH_MEMORY
memoryless = pytest.mark.parametrize("name", MEMORYLESS)
with_memory = pytest.mark.parametrize("name", WITH_MEMORY)
SCALES = [
    dict.fromkeys(SHAPES, 3.0),
    {"w1": 0.5, "w2": 2.0, "w3": 10.0},
]


ONES = dict.fromkeys(SHAPES, 1.0)


@functools.cache
def run(name: str) -> Callable[..., Training]:
    """Of params, the power to hold and a factor of the learning rate for each leaf."""
    direction, _, rate = ALL[name]
    return trainer(
        lambda power, factors: optax.chain(
            direction(), hold_elr(power), descend(rate), scale_by_layer(factors)
        )
    )


@functools.cache
def free(name: str) -> Training:
    return run(name)(task()[0], 0, ONES)


# Equation 1: scaling weights by c is the same as scaling the learning rate by c^-p.


@pytest.mark.slow
@pytest.mark.parametrize("scales", SCALES, ids=["global", "layerwise"])
@pytest.mark.parametrize("name", ALL)
def test_scaled_weights_at_a_scaled_rate(name: str, scales: Any) -> None:
    _, power, rate = ALL[name]
    params = task()[0]
    scaled = jax.tree.map(lambda leaf, c: c * leaf, params, scales)
    factors = jax.tree.map(lambda c: c**power, scales)
    assert abs(loss(scaled) - loss(params)) < 1e-14
    # The whole run, moments included, since both see gradients of one scale throughout.
    assert free(name).losses[0] - free(name).losses[-1] > 0.3
    other = run(name)(scaled, 0, factors)
    show(f"{name}, scaled weights at a scaled rate", free(name), other)
    assert gap(free(name), other) < 1e-12
    assert function_gap(free(name), other) < 1e-12
    # At the same rate it is another run.
    unscaled = run(name)(scaled, 0, ONES)
    assert gap(free(name), unscaled) > 1e-3
    # Both have the same effective learning rate.
    for leaf in SHAPES:
        np.testing.assert_allclose(
            nominal_effective_learning_rate(
                rate * factors[leaf], scaled[leaf], power=power
            ),
            nominal_effective_learning_rate(rate, params[leaf], power=power),
            rtol=1e-14,
        )


# Holding the effective learning rate, by projection or without.


@functools.cache
def projected(name: str) -> Training:
    direction, _, rate = ALL[name]
    tx = optax.chain(direction(), descend(rate), project_weights())
    return trainer(lambda: tx)(task()[0])


@functools.cache
def held(name: str) -> Training:
    return run(name)(task()[0], ALL[name][1], ONES)


def hold_globally(power: int) -> Any:
    """One factor for all layers, from the norm of all parameters together."""
    initial = optax.tree.norm(task()[0])

    def scale(updates: Any, params: Any) -> Any:
        growth = optax.tree.norm(params) / initial
        return optax.tree.scale(growth**power, updates)

    return optax.stateless(scale)


@functools.cache
def held_globally(name: str) -> Training:
    direction, power, rate = ALL[name]
    tx = optax.chain(direction(), hold_globally(power), descend(rate))
    return trainer(lambda: tx)(task()[0])


@pytest.mark.slow
@memoryless
def test_holding_equals_projecting_without_memory(name: str) -> None:
    growth = {
        leaf: float(jnp.linalg.norm(held(name).params[leaf]) / jnp.linalg.norm(start))
        for leaf, start in task()[0].items()
    }
    assert max(growth.values()) > 1.02
    show(f"{name}, held", projected(name), held(name))
    show(f"{name}, free", projected(name), free(name))
    assert gap(projected(name), held(name)) < 1e-12
    assert function_gap(projected(name), held(name)) < 1e-12
    # Unheld, it is another run.
    assert gap(projected(name), free(name)) > 5e-4
    # So it is with the power of the other kind of update.
    wrong = run(name)(task()[0], 3 - ALL[name][1], ONES)
    show(f"{name}, wrong power", projected(name), wrong)
    assert gap(projected(name), wrong) > 1e-4


@pytest.mark.slow
@with_memory
def test_holding_is_close_to_projecting_with_memory(name: str) -> None:
    show(f"{name}, held", projected(name), held(name))
    show(f"{name}, free", projected(name), free(name))
    show(f"{name}, one factor for all", projected(name), held_globally(name))
    wrong = run(name)(task()[0], 3 - ALL[name][1], ONES)
    show(f"{name}, wrong power", projected(name), wrong)
    assert 1e-4 < gap(projected(name), held(name)) < 0.2
    assert gap(projected(name), held(name)) < gap(projected(name), free(name))


@pytest.mark.slow
@memoryless
def test_only_a_factor_for_each_layer_matches(name: str) -> None:
    show(f"{name}, one factor for all", projected(name), held_globally(name))
    assert gap(projected(name), held_globally(name)) > 5e-4
    assert gap(projected(name), held(name)) < 1e-12


# The relative update is the nominal effective learning rate times the update's norm.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sign descent", "normalised descent"])
def test_relative_update_of_constant_norm(name: str) -> None:
    _, power, rate = MEMORYLESS[name]
    radii = jax.tree.map(jnp.linalg.norm, task()[0])
    for leaf, (shape, _) in SHAPES.items():
        norm_of_update = np.sqrt(np.prod(shape)) if name == "sign descent" else 1.0
        # Free: exact, at any norm.
        start = nominal_effective_learning_rate(rate, task()[0][leaf], power=power)
        measured = free(name).relative_updates[leaf]
        np.testing.assert_allclose(measured[0], start * norm_of_update, rtol=1e-12)
        # Projected: constant but for the curvature of the sphere.
        step = rate * norm_of_update / radii[leaf]
        chords = projected(name).relative_updates[leaf]
        ratio = chords / step
        print(f"{name}, {leaf}, projected: {ratio.min():.4f} to {ratio.max():.4f}")
        assert np.all(chords < step * 1.01)
        np.testing.assert_allclose(chords, step, rtol=0.05)


@pytest.mark.slow
def test_relative_update_of_adam() -> None:
    norms = norms_of_adams_updates(300)
    print(*(f"update {step}: {norms[step - 1]:.1f}" for step in (1, 10, 100, 300)))
    first, later = norms[0], norms[-1]
    # At first each of the 1024 weights moves by the learning rate.
    np.testing.assert_allclose(first, 32, rtol=1e-4)
    assert later < first / 2


def norms_of_adams_updates(num_steps: int) -> list[float]:
    """Measured over nominal effective learning rate of a 32x32 leaf, step by step."""
    rate = 1e-3
    keys = jax.random.split(jax.random.key(1), 3)
    inputs = jax.random.normal(keys[0], (128, 32))
    target = rms_normalised(inputs @ jax.random.normal(keys[1], (32, 32)))
    weights = jax.random.normal(keys[2], (32, 32)) / np.sqrt(32)
    tx = optax.chain(optax.scale_by_adam(), descend(rate), measure_elr())

    @jax.jit
    def advance(weights: Any, state: Any) -> Any:
        def error(weights: Any) -> jax.Array:
            return jnp.mean((rms_normalised(inputs @ weights) - target) ** 2)

        grads = jax.grad(error)(weights)
        adam, _ = optax.scale_by_adam().update(grads, state[0])
        updates, state = tx.update(grads, state, weights)
        factor = state[-1].relative_update
        factor /= nominal_effective_learning_rate(rate, weights)
        return weights + updates, state, factor, jnp.linalg.norm(adam)

    state, factors = tx.init(weights), []
    for _ in range(num_steps):
        weights, state, factor, norm = advance(weights, state)
        np.testing.assert_allclose(factor, norm, rtol=1e-12)
        factors.append(float(factor))
    return factors
