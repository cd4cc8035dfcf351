"""Agents on Atari: every line is printed, with a replay that is soon filled."""

import os

import jax
import numpy as np
import optax
import pytest

from benchmarks.atari import __main__ as atari
from benchmarks.atari.ours import Ours
from benchmarks.atari.rainbow_peer import PrioritizedTransitions
from benchmarks.atari.setting import Setting
from benchmarks.atari.torch_update import torch_update
from experiments.atari import losses

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")
pytest.importorskip("gymnasium", reason="gymnasium is not installed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "structures"),
    [
        ("dqn", ["as CleanRL: ", "as DQN Zoo: "]),
        pytest.param("rainbow", ["as DQN Zoo: "], marks=pytest.mark.thorough),
    ],
)
def test_every_line_is_printed(capfd, agent, structures):
    cores = os.sched_getaffinity(0)
    options = ["--replay-steps=1000", "--steps=8", "--rounds=1", "--steps-per-update=4"]
    try:
        atari.main([*options, "--agents", agent])
    finally:
        os.sched_setaffinity(0, cores)
    printed = capfd.readouterr().out
    for row in (
        f"{agent}, 1 update per 4 steps",
        *structures,
        "environment: ",
        "replay: 7,067 bytes a step",
        "update beside PyTorch",
        "projection and a cyclic rate add",
    ):
        assert row in printed


@pytest.mark.slow
def test_memory_is_measured_alone(capfd):
    cores = os.sched_getaffinity(0)
    try:
        atari.main(["--memory-at", "1000", "--agents", "dqn"])
    finally:
        os.sched_setaffinity(0, cores)
    printed = capfd.readouterr().out.splitlines()
    assert printed[0] == "dqn, a replay of 1,000 steps"
    assert printed[1].startswith("  ours: ")
    assert printed[1].endswith("; ours takes 1.00 of it")
    assert len(printed) == 4


@pytest.fixture
def rainbow_peer():
    """One that has played some, of a replay that is full."""
    peer = PrioritizedTransitions(
        Setting(agent="rainbow", replay_steps=40, batch_size=4)
    )
    peer.fill(60)
    return peer


@pytest.mark.slow
def test_the_peer_of_rainbow_draws_what_it_stored(rainbow_peer):
    peer = rainbow_peer
    assert len(peer.storage) == 40
    numbers = [*peer.storage]
    assert numbers == [*range(peer.num_stored - 40, peer.num_stored)]
    # A return of three steps spans three observations.
    first, later = peer.storage[numbers[0]], peer.storage[numbers[3]]
    assert first.discount_t == pytest.approx(0.99**3)
    np.testing.assert_array_equal(first.s_t, later.s_tm1)
    before = peer.tree.sums.copy()
    peer.learn()
    assert (peer.tree.sums != before).any()
    leaves = peer.tree.sums[peer.tree.first :]
    assert peer.tree.sums[1] == pytest.approx(leaves.sum())
    for item in (0, 17, 39):
        assert peer.tree.find(leaves[:item].sum() + 0.5 * leaves[item]) == item


@pytest.mark.slow
def test_an_update_of_pytorch_is_ours():
    pytest.importorskip("torch", reason="torch is not installed")
    setting = Setting(replay_steps=1000, fills_by_playing=False, batch_size=4)
    ours = Ours(setting)
    generator = np.random.default_rng(0)
    observations, following = generator.integers(
        256, size=(2, 4, 84, 84, 4), dtype=np.uint8
    )
    actions = np.array([0, 1, 2, 0], np.int32)
    params = ours.state.learning.learner.params
    agent = ours.programs._agent
    values = agent._outputs(params, observations, None)[0][np.arange(4), actions]
    best = agent._outputs(params, following, None)[0].max(1)
    rewards = np.array([1, 0, -1, 3], np.float32)
    discounts = np.full(4, 0.99, np.float32)

    def loss(params):
        chosen = agent._outputs(params, observations, None)[0][np.arange(4), actions]
        return losses.huber_losses(rewards + discounts * best - chosen).mean()

    tx = optax.adam(setting.learning_rate, eps=setting.switches.adam_eps)
    updates, _ = tx.update(jax.grad(loss)(params), tx.init(params))
    after = optax.apply_updates(params, updates)
    batch = (observations, actions, rewards, discounts, following)
    run = torch_update(params, setting, batch)
    np.testing.assert_allclose(run(1), values, rtol=1e-4, atol=1e-5)
    updated = agent._outputs(after, observations, None)[0][np.arange(4), actions]
    assert (np.abs(updated - values) > 1e-3).any()
    np.testing.assert_allclose(run(1), updated, rtol=1e-3, atol=1e-4)
