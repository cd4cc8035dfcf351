"""The trackers themselves, if installed: their files are read back."""

import importlib.util
import json
import struct

import jax.numpy as jnp
import pytest

from experiments.harness.run_directory import RunDirectory
from experiments.harness.trackers import exporting, registry
from helpers.checkout.parity.family import FAMILY

CONFIG = FAMILY.config_class(num_seeds=2, num_steps=30)


def needs(name):
    package = registry.PACKAGES[name]
    found = importlib.util.find_spec(package) is not None
    return pytest.mark.skipif(not found, reason=f"{package} is not installed")


@pytest.fixture
def path(tmp_path):
    """A run of two seeds that was stopped."""
    with RunDirectory(tmp_path / "run", CONFIG, about=FAMILY.about(CONFIG)) as run:
        state, _ = run.restore({"x": jnp.zeros(1)})
        run.record(10, rows(10), state)
        run.record(20, rows(20))
    return tmp_path / "run"


def rows(step):
    return [{"seed": seed, "loss": step + seed, "norm.a": -1} for seed in (0, 1)]


def go_on(path):
    """Continues it from its checkpoint to its end, with other numbers."""
    with RunDirectory(path, CONFIG, about=FAMILY.about(CONFIG)) as run:
        assert run.restore({"x": jnp.zeros(1)})[1] == 10
        run.record(20, rows(200))
        run.record(30, rows(30))
        run.finish([{"seed": seed, "outcome": f"became {seed}"} for seed in (0, 1)])


def records(path, *, start=0, block=None):
    """The records of an event file, or of the LevelDB log that W&B keeps."""
    data, position, parts = path.read_bytes(), start, b""
    while position < len(data):
        if block is None:
            (length,) = struct.unpack("<Q", data[position : position + 8])
            yield data[position + 12 : position + 12 + length]
            position += length + 16
            continue
        left = block - position % block
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def events(directory):
    from tensorboardX.proto.event_pb2 import Event

    *empty, path = sorted(directory.glob("events.out.tfevents.*"))
    assert len(empty) <= 1
    assert not any(old.stat().st_size for old in empty)
    return [Event.FromString(record) for record in records(path)]


@needs("tensorboard")
def test_event_files_hold_each_step_once(path):
    exporting.export(path, "tensorboard")
    go_on(path)
    exporting.export(path, "tensorboard")
    for seed in (0, 1):
        told = events(path / "tensorboard" / f"seed {seed}")
        scalars = [
            (event.step, value.tag, value.simple_value)
            for event in told
            for value in event.summary.value
            if value.HasField("simple_value")
        ]
        assert scalars == [
            one
            for step, number in ((10, 10), (20, 200), (30, 30))
            for one in ((step, "loss", number + seed), (step, "norm/a", -1))
        ]
        texts = {
            value.tag: value.tensor.string_val[0].decode()
            for event in told
            for value in event.summary.value
            if value.HasField("tensor")
        }
        assert texts["outcome/text_summary"] == f"became {seed}"
        assert "| num_steps | 30 |" in texts["config/text_summary"]


@needs("tensorboard")
def test_tensorboard_itself_reads_them(path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    exporting.export(path, "tensorboard")
    shown = reader.EventAccumulator(str(path / "tensorboard" / "seed 1"))
    shown.Reload()
    assert [(e.step, e.value) for e in shown.Scalars("loss")] == [(10, 11), (20, 21)]
    go_on(path)
    exporting.export(path, "tensorboard")
    shown.Reload()  # as a board that stays open
    want = [(10, 11), (20, 201), (30, 31)]
    assert [(e.step, e.value) for e in shown.Scalars("loss")] == want


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """W&B without a network, and with its own files away from home."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def wandb_runs(path):
    """By name, the config, the history and the summary of each offline run."""
    from wandb.proto.wandb_internal_pb2 import Record

    runs = {}
    for log in path.glob("wandb/offline-run-*/*.wandb"):
        told = [Record.FromString(data) for data in records(log, start=7, block=2**15)]
        run = next(one.run for one in told if one.HasField("run"))
        assert run.display_name not in runs
        history = [values(one.history) for one in told if one.HasField("history")]
        summary = {}
        for one in told:
            summary |= values(one.summary, "update")
        config = values(run.config, "update")
        runs[run.display_name] = run, config, history, summary
    return runs


def values(record, field="item"):
    return {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for item in getattr(record, field)
    }


@needs("wandb")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of its own
def test_offline_runs_hold_each_step_once(path, offline):
    exporting.export(path, "wandb")
    before = wandb_runs(path)
    assert set(before) == {"seed 0", "seed 1"}
    go_on(path)
    exporting.export(path, "wandb")
    after = wandb_runs(path)
    assert set(after) == {"seed 0", "seed 1"}
    for name, (run, config, history, summary) in after.items():
        seed = int(name[-1])
        assert run.run_id == before[name][0].run_id
        assert (run.project, run.run_group) == ("parity", "run")
        assert (config["seed"], config["num_steps"]) == (seed, 30)
        got = [(row["_step"], row["loss"], row["norm/a"]) for row in history]
        assert got == [(10, 10 + seed, -1), (20, 200 + seed, -1), (30, 30 + seed, -1)]
        assert summary["outcome"] == f"became {seed}"
