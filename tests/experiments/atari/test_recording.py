"""A GIF of a run's agent."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.atari import __main__ as program
from experiments.atari import recording
from experiments.atari.agent import Agent
from experiments.atari.config import Config
from experiments.atari.environments.minatar import Played
from helpers.checkout import programs


def frames_of(path):
    with Image.open(path) as image:
        return image.size, image.n_frames


def test_colours_lie_over_each_other():
    observation = np.zeros((2, 2, 3), np.uint8)
    observation[0, 0] = [1, 0, 1]
    observation[1, 1] = [0, 1, 0]
    image = recording.colored(observation)
    assert image.shape == (32, 32, 3)
    assert image[0, 0].tolist() == [0x00, 0x9E, 0x73]  # of the third channel
    assert image[31, 31].tolist() == [0xD5, 0x5E, 0x00]
    assert image[0, 31].tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(84, 84), (160, 160, 3)])
def test_frames_become_a_gif(tmp_path, shape):
    path = tmp_path / "new" / "a.gif"
    frames = [np.full(shape, value, np.uint8) for value in (0, 100, 200)]
    recording.write(iter(frames), path, 50)
    assert frames_of(path) == (shape[:2], 3)


def test_a_gif_that_is_too_large_shows_every_other_frame(tmp_path):
    generator = np.random.default_rng(0)
    frames = list(generator.integers(256, size=(9, 20, 20), dtype=np.uint8))
    path = tmp_path / "a.gif"
    recording.write(frames, path, 50)
    assert frames_of(path)[1] == 9
    half = path.stat().st_size // 2
    recording.write(frames, path, 50, half)
    assert path.stat().st_size <= half
    with Image.open(path) as image:
        assert image.n_frames == 3
        image.seek(1)
        assert image.info["duration"] == 4 * 50
        np.testing.assert_array_equal(np.asarray(image.convert("L")), frames[4])
    recording.write(frames, path, 50, 1)
    assert frames_of(path)[1] == 1


TINY = {
    "minatar": (
        "gymnax",
        "--num-frames 300 --learning-starts-frames 100 --replay-steps 200 "
        "--eval-every 75",
        (160, 160),
    ),
    "ale": (
        "ale_py",
        "--game Freeway --num-frames 96 --learning-starts-frames 64 --replay-steps 40 "
        "--eval-every 6 --batch-size 4 --evaluation-episodes 0",
        (160, 210),
    ),
}


class Counting:
    """A game of six steps that shows the last action."""

    def reset(self, key):
        return jnp.zeros((1, 1, 3), jnp.uint8), jnp.int32(0)

    def step(self, key, state, action):
        shown = jnp.zeros((1, 1, 3), jnp.uint8).at[0, 0, action].set(1)
        is_over = state == 5
        return Played(shown, state + 1, jnp.float32(0), is_over, is_over)


@pytest.mark.parametrize(("sticky_actions", "carried_out"), [(0, 5), (1, 1)])
def test_actions_stick_as_in_the_run(sticky_actions, carried_out):
    frames = recording.play(
        Counting(),
        lambda observation: (int(observation[0, 0].argmax()) + 1) % 3,
        sticky_actions=sticky_actions,
    )
    seen = [frame[0, 0].tolist() for frame in frames]
    assert len(seen) == 6
    assert sum(a != b for a, b in itertools.pairwise(seen)) == carried_out


@pytest.mark.parametrize(("name", "num_actions"), [("rainbow", 1), ("dqn", 3)])
def test_the_agent_plays_as_in_evaluations(name, num_actions):
    noise = {"noise_scale": 100.0} if name == "rainbow" else {}
    agent = Agent(Config(agent=name, **noise), (4, 4, 2), 3, stack=1)
    act = recording.actor(agent, agent.init(jax.random.key(0)), 0)
    observation = np.ones((4, 4, 2), np.uint8)
    counts = np.bincount([act(observation) for _ in range(200)], minlength=3)
    # A noisy one without noise, the other with a twentieth of random actions.
    assert np.count_nonzero(counts) == num_actions
    assert counts.max() >= 180


@pytest.mark.slow
@pytest.mark.parametrize("suite", TINY)
def test_a_finished_run_is_recorded(tmp_path, monkeypatch, suite):
    module, settings, size = TINY[suite]
    pytest.importorskip(module, reason="the extra [atari] is not installed")
    monkeypatch.setattr(recording, "MOST_FRAMES", 40)
    flags = ["--suite", suite, *settings.split(), "--num-seeds", "2"]
    flags += ["--run-directory", tmp_path / "run"]
    code, _, err = programs.redirected(program.train_and_record, *flags)
    assert code == 0, err
    finished = (tmp_path / "run/metrics.jsonl").read_bytes()
    # A finished run is only shown again, whatever is recorded of it.
    path = tmp_path / "agent.gif"
    code, out, err = programs.redirected(
        program.train_and_record, *flags, "--record", path
    )
    assert (code, out.splitlines()[-1]) == (0, str(path)), err
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == finished
    own_size, num_frames = frames_of(path)
    assert own_size == size
    assert 1 < num_frames <= 40


def test_what_cannot_be_recorded_is_refused_before_anything_is_run():
    flags = ["--record", "a.mp4"]
    code, _, err = programs.redirected(program.train_and_record, *flags)
    assert code == 2
    assert "must be the path of a .gif (--record)" in err
