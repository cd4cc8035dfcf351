"""Schedules by hand, and which leaves decay and are projected."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.atari.config import Config
from experiments.atari.optimizers import (
    clip_by_global_norm,
    make_optimizer,
    make_schedule,
)
from experiments.harness.members import hyperparameters

RATES = {"learning_rate": 1.0, "agent_steps_per_update": 1.0}


def rates(counts, **options):
    if options:
        options["low_learning_rate"] = 0.1
    config = Config(**RATES, **options)
    schedule = make_schedule(config, hyperparameters(config))
    return [float(schedule(jnp.int32(count))) for count in counts]


def test_a_constant_rate():
    assert rates((0, 7, 10**6)) == [1.0] * 3


def test_cycles_by_hand():
    counts = (0, 50, 100, 550, 1000, 1100, 1550)
    options = {"learning_rate_schedule": "cyclic", "cycle_frames": 1000}
    # A tenth is warm-up; in the middle of what is left the cosine is half way.
    expected = [0.1, 0.55, 1.0, 0.55, 0.1, 1.0, 0.55]
    np.testing.assert_allclose(rates(counts, **options), expected, rtol=1e-5)


def test_cycles_are_stopped_early():
    options = {"learning_rate_schedule": "cyclic", "cycle_frames": 1000}
    stopped = rates(
        (1100, 1549, 1550, 2100),
        **options,
        stop_cycling_frames=1_600,
        learning_starts_frames=50,
    )
    np.testing.assert_allclose(stopped[0], 1.0)
    assert stopped[1] > 0.5
    np.testing.assert_allclose(stopped[2:], 0.1)


def test_one_cycle_lasts_for_the_run():
    options = {"learning_rate_schedule": "one_cycle", "num_frames": 15_000}
    expected = [0.1, 1.0, 0.55, 0.1, 0.1]
    values = rates((0, 1000, 5500, 10_000, 10_500), **options)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def params_and_grads():
    keys = iter(jax.random.split(jax.random.key(0), 6))
    shapes = {
        "torso": {"conv_0": {"kernel": (3, 3, 2, 4), "bias": (4,)}},
        "action_values": {
            "hidden": {"kernel": (8, 4), "bias": (4,), "noise_kernel": (8, 4)},
            "output": {"kernel": (4, 2)},
        },
    }
    params = jax.tree.map(
        lambda shape: jax.random.normal(next(keys), shape),
        shapes,
        is_leaf=lambda node: isinstance(node, tuple),
    )
    return params, jax.tree.map(jnp.ones_like, params)


def after_updates(num, grads_times=1.0, measured=None, **options):
    config = Config(**RATES, **options)
    tx = make_optimizer(config, hyperparameters(config))
    params, grads = params_and_grads()
    grads = jax.tree.map(lambda leaf: grads_times * leaf, grads)

    @jax.jit
    def update(params, state, measures):
        updates, state = tx.update(
            grads, state, params, value=jnp.ones([]), measures=measures
        )
        return optax.apply_updates(params, updates), state

    start, state = params, tx.init(params)
    for count in range(1, num + 1):
        params, state = update(params, state, count == measured)
    return start, params, state


@pytest.mark.slow
def test_kernels_are_projected_but_for_the_last_one_and_noise():
    start, params, _ = after_updates(3, project=True)
    norms = jax.tree.map(
        lambda a, b: jnp.linalg.norm(a) / jnp.linalg.norm(b), params, start
    )
    np.testing.assert_allclose(norms["torso"]["conv_0"]["kernel"], 1, rtol=1e-5)
    hidden = norms["action_values"]["hidden"]
    np.testing.assert_allclose(hidden["kernel"], 1, rtol=1e-5)
    for free in (
        norms["torso"]["conv_0"]["bias"],
        hidden["bias"],
        hidden["noise_kernel"],
        norms["action_values"]["output"]["kernel"],
    ):
        assert abs(free - 1) > 0.1


def test_kernels_decay():
    start, params, _ = after_updates(1, grads_times=0.0, weight_decay=0.25)
    ratios = jax.tree.map(lambda a, b: jnp.mean(a / b), params, start)
    kernels = {"torso/conv_0/kernel", "action_values/hidden/kernel"}
    for path, ratio in jax.tree.leaves_with_path(ratios):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        is_kernel = name in kernels | {"action_values/output/kernel"}
        np.testing.assert_allclose(ratio, 0.75 if is_kernel else 1.0, rtol=1e-5)


@pytest.mark.parametrize(("agent", "is_clipped"), [("dqn", False), ("rainbow", True)])
def test_large_gradients_are_clipped(agent, is_clipped):
    *_, state = after_updates(1, grads_times=1e6, agent=agent)
    norm = optax.tree.norm(optax.tree.get(state, "mu")) / 0.1
    assert (abs(norm - 10) < 1e-3) == is_clipped


@pytest.mark.parametrize("times", [0.0, 1e-3, 1e6])
def test_clipping_is_optax_s(times):
    _, grads = params_and_grads()
    grads = jax.tree.map(lambda leaf: times * leaf, grads)
    clipped, expected = (
        clip(10.0).update(grads, optax.EmptyState())[0]
        for clip in (clip_by_global_norm, optax.clip_by_global_norm)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), clipped, expected
    )


def relative_updates(num, measured=None, **options):
    state = after_updates(num, measured=measured, **options)[2]
    return optax.tree.get(state, "relative_update")


@pytest.mark.parametrize("project", [False, True])
def test_on_atari_what_is_measured_is_the_update_that_was_asked_for(project):
    options = {"project": project, "learning_rate_schedule": "constant"}
    wanted = relative_updates(2, **options)
    for num in (2, 4):
        asked = relative_updates(num, measured=2, suite="ale", game="Pong", **options)
        jax.tree.map(np.testing.assert_array_equal, asked, wanted)
    unasked = relative_updates(4, suite="ale", game="Pong", **options)
    assert not any(jax.tree.leaves(unasked))
