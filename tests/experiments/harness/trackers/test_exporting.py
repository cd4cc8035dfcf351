"""The rows of a run directory that trackers get, in this process."""

import json
import math
import sys
import types

import jax.numpy as jnp
import pytest

from experiments.harness import files
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from experiments.harness.trackers import exporting
from experiments.harness.trackers.tracker import Series
from helpers.checkout.parity.family import FAMILY

CONFIG = FAMILY.config_class(num_seeds=2, num_steps=30)


class Told:
    """A tracker that remembers all that it was told."""

    def __init__(self, series):
        self.series, self.rows, self.flushes, self.outcome = series, [], 0, None

    def log(self, step, metrics):
        self.rows.append((step, dict(metrics)))

    def flush(self):
        self.flushes += 1

    def finish(self, outcome):
        assert self.outcome is None
        self.outcome = outcome


@pytest.fixture
def told(monkeypatch):
    """The series that a tracker called `told` is opened for, in their order."""
    opened = []

    def track(series):
        opened.append(Told(series))
        return opened[-1]

    module = types.ModuleType("experiments.harness.trackers.told")
    module.track = track
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return opened


def begin(path):
    run = RunDirectory(path, CONFIG, about=FAMILY.about(CONFIG))
    run.__enter__()
    run.restore({"x": jnp.zeros(1)})
    return run


def rows(step, **more):
    return [{"seed": seed, "loss": step + seed, **more} for seed in (0, 1)]


def test_each_member_is_a_series(told, tmp_path):
    with RunDirectory(tmp_path, CONFIG, about=FAMILY.about(CONFIG)) as run:
        run.restore({"x": jnp.zeros(1)})
        run.record(10, rows(10))
        run.record(20, rows(20))
        run.finish([{"seed": 0, "outcome": "a"}, {"seed": 1, "outcome": "b"}])
    exporting.export(tmp_path, "told")
    assert [one.series.name for one in told] == ["seed 0", "seed 1"]
    assert told[0].rows == [(10, {"loss": 10.0}), (20, {"loss": 20.0})]
    assert told[1].rows == [(10, {"loss": 11.0}), (20, {"loss": 21.0})]
    assert [one.outcome for one in told] == ["a", "b"]
    assert told[0].series.experiment == "parity"
    assert told[0].series.config["num_steps"] == 30
    assert exporting.is_logged(tmp_path, "told")


def test_what_is_added_is_logged_once_and_cut_lines_later(told, tmp_path):
    run = begin(tmp_path)
    file = (tmp_path / "metrics.jsonl").open("a")

    def record():
        yield False
        run.record(10, rows(10))
        yield False
        file.write('{"step": 20, "see')
        file.flush()
        yield False
        assert [step for step, _ in told[0].rows] == [10]
        file.write('d": 0, "loss": 3}\n')
        file.flush()
        yield True

    moments = record()
    exporting.export(tmp_path, "told", lambda: next(moments))
    file.close()
    run.__exit__(None, None, None)
    assert told[0].rows == [(10, {"loss": 10.0}), (20, {"loss": 3.0})]
    assert told[0].flushes == 3
    assert told[0].outcome == ""
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes(b"".join(metrics.read_bytes().splitlines(True)[:2]))
    run = begin(tmp_path)  # which cuts them back to the last checkpoint: there is none
    run.record(10, rows(5))
    run.__exit__(None, None, None)
    assert not exporting.is_logged(tmp_path, "told")
    exporting.export(tmp_path, "told")
    assert told[2].rows == [(10, {"loss": 5.0})]


def test_two_exports_at_once_are_refused(told, tmp_path):
    begin(tmp_path).__exit__(None, None, None)

    def again():
        with pytest.raises(UserError, match="is in use by another process"):
            exporting.export(tmp_path, "told")
        return True

    exporting.export(tmp_path, "told", again)


def test_metrics_that_shrink_are_an_error(told, tmp_path):
    run = begin(tmp_path)
    run.record(10, rows(10))

    def cut():
        yield False
        (tmp_path / "metrics.jsonl").write_text("")
        yield True

    moments = cut()
    with pytest.raises(UserError, match="was cut while it was read"):
        exporting.export(tmp_path, "told", lambda: next(moments))
    run.__exit__(None, None, None)


def test_damaged_metrics_and_no_run_are_an_error(told, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        exporting.export(tmp_path, "told")
    begin(tmp_path).__exit__(None, None, None)
    for line in ("no JSON", '{"a": 1}', '{"step": "x"}'):
        (tmp_path / "metrics.jsonl").write_text(f"{line}\n")
        with pytest.raises(UserError, match="is damaged"):
            exporting.export(tmp_path, "told")


def test_nothing_is_written_through_a_link(told, tmp_path):
    begin(tmp_path / "run").__exit__(None, None, None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "told").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        exporting.export(tmp_path / "run", "told")


def test_numbers_of_a_row():
    row = files.parse_json_lines(
        b'{"step": 1, "arm": "a", "seed": 3, "loss": "NaN", "on": true, "none": null,'
        b' "note": "x", "norm.conv_0": 2, "rates": [1, [0.5, "y"]]}\n'
    )[0]
    numbers = exporting.numbers(row)
    assert math.isnan(numbers.pop("loss"))
    assert numbers == {"on": 1, "norm/conv_0": 2, "rates/0": 1, "rates/1/0": 0.5}


@pytest.mark.parametrize(
    ("arm", "name"),
    [
        ("projected, 10%", "projected, 10%25, seed 3"),
        ("../..", "..%2F.., seed 3"),
        ("a/b\0", "a%2Fb%00, seed 3"),
    ],
)
def test_a_series_is_one_part_of_a_path(arm, name, tmp_path):
    from experiments.harness.run_members import Member

    series = Series(tmp_path, tmp_path, "", Member(arm, 3), {})
    assert series.file_name == name
    assert (tmp_path / name).parent == tmp_path


def test_a_stamp_that_is_none_is_not_believed(told, tmp_path):
    begin(tmp_path).__exit__(None, None, None)
    exporting.export(tmp_path, "told")
    for text in ("", "{", "[]", json.dumps({"metrics": 1})):
        (tmp_path / "told" / "logged.json").write_text(text)
        assert not exporting.is_logged(tmp_path, "told")
