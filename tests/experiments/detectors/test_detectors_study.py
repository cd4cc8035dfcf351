"""The study of change detectors: its counts by hand, and all of it at a tiny size."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.detectors import methods, streams, study
from experiments.detectors.__main__ import study as run_study
from experiments.detectors.config import Config
from experiments.harness.messages import UserError

TINY = Config(
    num_streams=2,
    num_sweep_streams=1,
    num_updates=700,
    change_step=500,
    num_curves=0,
    peers=False,
)


def test_score_by_hand():
    alarms = [[105], [40, 110], [100, 150], []]
    got = study.score(alarms, 200, 100)
    assert got == {
        "num_streams": 4,
        "share_false": 0.25,  # the second
        "false_per_1000_updates": 1000 / 400,
        "share_detected": 0.75,  # all but the last
        "share_right": 0.25,  # the first alone
        "delay_updates": [2.5, 5.0, 7.5],  # of 0, 5, 10
    }


def test_score_without_a_change():
    got = study.score([[], [30]], 200, None)
    assert got["share_right"] == 0.5
    assert got["false_per_1000_updates"] == 1000 / 400
    assert got["share_detected"] == 0
    assert got["delay_updates"] is None


def test_score_tolerates_an_early_estimate():
    assert study.score([[95]], 200, 100)["share_false"] == 1
    early = study.score([[95]], 200, 100, tolerance=10)
    assert early["share_right"] == 1
    assert early["delay_updates"] == [0, 0, 0]


def test_kinds_of_one_call_are_not_mixed_up():
    kinds = streams.simulate(2, 60, 40, 0)

    def at_last_value(values, direction):
        assert direction in ("up", "down", "both")
        return [[abs(int(row[-1]))] for row in values]

    table = study.compare(kinds, {"last": at_last_value})
    assert list(table) == list(kinds)
    for name, kind in kinds.items():
        want = [[abs(int(row[-1]))] for row in kind.values]
        assert table[name]["last"] == study.score(want, 60, kind.change_step)


def test_streams_are_what_their_formulas_say():
    num = 400
    kinds = streams.simulate(num, 300, 200, 1)
    assert all(kind.values.dtype == np.float32 for kind in kinds.values())
    assert all(kind.values.shape == (num, 300) for kind in kinds.values())
    t = np.arange(300)
    loss = 0.3 + 2 * np.exp(-t / 800)
    loss[200:] += 0.3 * np.exp(-(t[200:] - 200) / 500)
    for name in ("Gaussian noise", "Student-t(4) noise", "AR(1) noise, .9"):
        noise = kinds[name].values - loss
        assert np.abs(noise.mean(0)).max() < 0.02
        assert noise.std() == pytest.approx(0.05, rel=0.1)
    ahead = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert ahead == pytest.approx(0.9, abs=0.02)


def test_noise_scale_ignores_the_trend_and_outliers():
    rng = np.random.default_rng(2)
    values = 0.01 * np.arange(4000) + 3 * rng.standard_normal(4000)
    values[::100] = 1e6
    assert streams.noise_scale(values) == pytest.approx(3, rel=0.1)


@pytest.mark.slow
def test_the_whole_study(tmp_path, capsys, monkeypatch):
    all_kinds = streams.simulate
    few = ("Gaussian noise", "AR(1) noise, .5", "random walk")
    monkeypatch.setattr(
        streams, "simulate", lambda *a: {name: all_kinds(*a)[name] for name in few}
    )
    config = Config(**{**vars(TINY), "output_directory": tmp_path / "new"})
    run_study(config)
    results = json.loads((tmp_path / "new/results.json").read_text())
    assert results["config"]["num_streams"] == 2
    assert set(results["formulas"]) == set(results["table"]) == set(few)
    assert set(results["sweeps"]) == {"cusum", "page_hinkley"}
    assert (tmp_path / "new/detectors.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "| streams | cusum | page_hinkley |" in printed
    rows = sum(len(results[name]) for name in ("table", "both_directions", "ablations"))
    assert printed.count("\n| ") == 3 * 2 + rows


@pytest.mark.slow
def test_grokking_runs():
    curves = pytest.importorskip("experiments.detectors.curves")
    kinds = curves.record(2, 6, 0)
    assert len(kinds) == 3
    for kind in kinds.values():
        assert kind.values.shape == (2, 6)
        assert kind.change_step == 3
        # Other weights and pairs for each seed, from about log 59 on.
        assert kind.values[:, 0] == pytest.approx(np.log(59), abs=1.5)
        assert kind.values[0, 0] != kind.values[1, 0]


def test_a_missing_peer_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(UserError, match=r"river is not installed: pip install"):
        methods.peers()


def test_peers_find_a_large_jump():
    pytest.importorskip("river")
    pytest.importorskip("ruptures")
    values = np.random.default_rng(3).standard_normal((1, 1500)).astype(np.float32)
    values[:, 1000:] += 5
    for name, method in methods.peers().items():
        (alarms,) = method(values, "up")
        assert any(990 <= step < 1100 for step in alarms), name


@pytest.mark.parametrize(
    ("field", "least"), [("change_step", 11), ("curve_updates", 22)]
)
def test_a_change_comes_later_than_the_tolerance_of_the_peers(field, least):
    Config(**{field: least})
    with pytest.raises(ValueError, match=f"{field}={least - 1}: must be at least"):
        Config(**{field: least - 1})
    Config(**{field: least // 11}, peers=False)


@pytest.mark.parametrize("field", ["num_streams", "num_updates", "curve_updates"])
def test_config_ranges(field):
    with pytest.raises(ValueError, match=f"{field}=0: must be"):
        Config(**{field: 0})


@pytest.mark.parametrize("kind", ["link", "file", "results", "junk", "no directory"])
def test_what_could_not_be_kept_is_said_before_any_work(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(streams, "simulate", pytest.fail)
    path = tmp_path / "out"
    config = Config(**{**vars(TINY), "output_directory": path})
    results = path / "results.json"
    if kind == "file":
        path.write_text("")
        expected = OSError
    elif kind == "no directory":
        config = Config(**{**vars(TINY), "output_directory": Path("/proc/self")})
        expected = (UserError, OSError)
    else:
        path.mkdir()
        expected = UserError
    if kind == "link":
        results.symlink_to(tmp_path / "user")
    elif kind == "results":
        results.write_text('{"mine": 1}')
    elif kind == "junk":
        results.write_text("precious")
    with pytest.raises(expected):
        run_study(config)
