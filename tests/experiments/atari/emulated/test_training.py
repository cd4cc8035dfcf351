"""Members in a run directory: what lies in a file, and what may go wrong with it.

Instead of a game and an agent a member has steps that are drawn, which take no time.
"""

import dataclasses
import errno
import os
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")

from experiments.atari.config import Config
from experiments.atari.emulated import sizes, training
from experiments.atari.emulated.member import Member
from experiments.atari.emulated.programs import Programs
from experiments.atari.family import FAMILY
from experiments.harness import family, files, memory
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from helpers.checkout.naive_replay import random_steps

FRAMES = "arrays/frames_0"


@pytest.fixture
def config(tmp_path):
    return Config(
        suite="ale",
        game="Pong",
        num_frames=4 * 4 * 40,
        eval_every=4,
        learning_starts_frames=4,
        replay_steps=40,
        checkpoint_seconds=0.0,
        run_directory=tmp_path / "runs" / "run",
    )


@pytest.fixture(autouse=True)
def drawn_steps(monkeypatch):
    """Replaces playing and learning; gives what is changed in the metrics."""
    changes = {}

    def run(member, state, num_rounds):
        replay, last = member.replay, int(state.round) + num_rounds
        replay.restore(state.replay)
        generator = np.random.default_rng(last)
        num = num_rounds * member.config.game_steps
        for step in random_steps(generator, num, 1, (84, 84)):
            replay.append(step)
        batch = replay.sample(generator, 4)
        metrics = {
            "frames": last * member.config.round_frames,
            "updates": last,
            "num_episodes": 0,
            "mean_return_last_100_episodes": float(np.asarray(batch.frames).mean()),
            "td_error": 0.0,
            "train_loss": 0.0,
            "weight_norm": 1.0,
        }
        metrics |= changes.get(last, {})
        metrics = {name: np.float32(value) for name, value in metrics.items()}
        return state._replace(replay=replay.state(), round=np.asarray(last)), metrics

    monkeypatch.setattr(Member, "run", run)
    monkeypatch.setattr("experiments.atari.code.draw_run", lambda *_: None)
    return changes


def stopped(config, changes, at):
    """Runs until it diverges at a round; returns what it says."""
    changes[at] = {"train_loss": np.nan}
    with pytest.raises(UserError) as caught:
        family.run(FAMILY, config)
    del changes[at]
    return str(caught.value)


def metrics_of(config):
    return (config.run_directory / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_the_checkpoint_stays(config, drawn_steps):
    said = stopped(config, drawn_steps, 24)
    assert said == (
        "seed 0: the loss is not finite between frames 320 and 384; the run "
        "stops and keeps the checkpoint before this: lower learning_rate, in another "
        "directory"
    )
    rows = files.read_json_lines(config.run_directory / "metrics.jsonl")
    assert rows[-1]["step"] == 20
    assert (config.run_directory / "checkpoints" / "20").is_dir()
    family.run(FAMILY, config)
    assert len(files.read_json_lines(config.run_directory / "metrics.jsonl")) == 10


@pytest.mark.slow
def test_of_several_settings_the_others_go_on(config, drawn_steps):
    drawn_steps[24] = {"train_loss": np.nan}
    configs = [config, dataclasses.replace(config, learning_rate=1e-3)]
    labels = [{"arm": name, "seed": 0} for name in "ab"]
    with RunDirectory(config.run_directory, config) as run:
        training.train(run, Programs(config), configs, labels, ())
    rows = files.read_json_lines(config.run_directory / "metrics.jsonl")
    assert [row["arm"] for row in rows if row["step"] == 40] == ["a", "b"]


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_the_last_checkpoint(
    config, monkeypatch, drawn_steps
):
    family.run(FAMILY, config)
    expected = metrics_of(config)
    shutil.rmtree(config.run_directory)
    save = Checkpoints.save

    def full(self, step, *args):
        if step == 24:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, step, *args)

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(OSError, match="No space left"):
        family.run(FAMILY, config)
    monkeypatch.setattr(Checkpoints, "save", save)
    assert (config.run_directory / "checkpoints" / "20").is_dir()
    family.run(FAMILY, config)
    assert metrics_of(config) == expected


@pytest.mark.slow
def test_an_older_checkpoint_finds_its_frames_as_well(config, drawn_steps, capsys):
    family.run(FAMILY, config)
    expected = metrics_of(config)
    shutil.rmtree(config.run_directory)
    stopped(config, drawn_steps, 36)
    damaged = config.run_directory / "checkpoints" / "32" / "about.json"
    damaged.write_bytes(b"{}")
    family.run(FAMILY, config)
    assert "step 32 is damaged" in capsys.readouterr().err
    assert metrics_of(config) == expected


@pytest.mark.slow
def test_frames_on_the_device_change_nothing_and_may_come_later(config, drawn_steps):
    family.run(FAMILY, config)
    expected = metrics_of(config)
    shutil.rmtree(config.run_directory)
    there = dataclasses.replace(config, replay_on_device=True)
    stopped(there, drawn_steps, 12)
    stopped(config, drawn_steps, 24)
    family.run(FAMILY, there)
    assert metrics_of(config) == expected


def remove(path):
    path.unlink()


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def change(path):
    data = bytearray(path.read_bytes())
    # Of the newest frame of step 20, whose row is (4 · 20 - 1) mod (40 + 2 · 4 · 4).
    data[(4 * 20 - 1) % (40 + 32) * 84 * 84] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [remove, cut, change])
def test_frames_that_are_not_what_they_were_are_one_line(config, drawn_steps, damage):
    stopped(config, drawn_steps, 24)
    path = config.run_directory / FRAMES
    kept = path.read_bytes()
    damage(path)
    with pytest.raises(UserError, match="frames_0 is gone or damaged, and no checkpoi"):
        family.run(FAMILY, config)
    path.write_bytes(kept)
    family.run(FAMILY, config)


def test_too_little_disk_or_memory_is_one_line_before_anything_is_made(
    config, monkeypatch
):
    size = sizes.num_bytes(config)
    usage = shutil._ntuple_diskusage(2 * size, size, size - 1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(UserError, match=r"needs 0\.0 GB in .*run, and 0\.0 GB are"):
            family.run(FAMILY, config)
    monkeypatch.setattr(memory, "available", lambda **_: size - 1)
    with pytest.raises(UserError, match="of memory"):
        family.run(FAMILY, config)
    assert not config.run_directory.parent.exists()


@pytest.mark.parametrize("name", ["ale_py", "cv2"])
def test_what_is_not_installed_is_one_line_before_anything_is_made(
    config, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"needs ale-py .*{name}.*pip install -e"):
        family.run(FAMILY, config)
    assert not config.run_directory.parent.exists()


@pytest.mark.slow
def test_frames_behind_a_link_are_refused(config, drawn_steps, tmp_path):
    stopped(config, drawn_steps, 24)
    path = config.run_directory / FRAMES
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    with pytest.raises(UserError, match="frames_0 is a link"):
        family.run(FAMILY, config)
    assert (tmp_path / "elsewhere").read_bytes() == before


def test_the_size_counts_the_slack():
    config = Config(suite="ale", game="Pong")
    own = sizes.layout(config)
    # A sixteenth are 15,625 rounds: three evaluations of 5,000, twice, 4 steps each.
    assert sizes.most_unsaved(config) == 15_000
    assert own.slack == 2 * 15_000 * 4
    assert own.length == 1_000_000 + own.slack
    assert FAMILY.disk(config) == own.length * (84 * 84 + 11)


@pytest.mark.parametrize("asked", [None, True, False])
def test_returns_end_at_a_lost_life_unless_that_is_declined(asked):
    programs = Programs(Config(suite="ale", life_loss_is_terminal=asked))
    assert programs._protocol.life_loss_is_terminal == (asked is not False)
