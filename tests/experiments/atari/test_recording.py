"""A GIF of a run's agent."""

import numpy as np
import pytest
from PIL import Image

from experiments.atari import __main__ as program
from experiments.atari import recording
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


@pytest.mark.slow
def test_a_finished_run_is_recorded(tmp_path):
    pytest.importorskip("gymnax")
    flags = ["--num-frames", "300", "--learning-starts-frames", "100"]
    flags += ["--replay-steps", "200", "--eval-every", "75", "--num-seeds", "2"]
    flags += ["--run-directory", tmp_path / "run"]
    code, _, _ = programs.redirected(program.train_and_record, *flags)
    assert code == 0
    finished = (tmp_path / "run/metrics.jsonl").read_bytes()
    # A finished run is only shown again, whatever is recorded of it.
    path = tmp_path / "agent.gif"
    code, out, err = programs.redirected(
        program.train_and_record, *flags, "--record", path
    )
    assert (code, out.splitlines()[-1]) == (0, str(path)), err
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == finished
    size, num_frames = frames_of(path)
    assert size == (160, 160)
    assert num_frames > 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--record", "a.mp4"], "must be the path of a .gif (--record)"),
        (
            ["--suite", "ale", "--game", "Pong", "--record", "a.gif"],
            "must be left out with games of Atari, so far (--record)",
        ),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_run(flags, message):
    code, _, err = programs.redirected(program.train_and_record, *flags)
    assert code == 2
    assert message in err
