import json

import pytest

from benchmarks.accelerator import __main__ as accelerator
from benchmarks.accelerator import figures
from experiments.harness.messages import UserError


@pytest.mark.slow
def test_what_the_sections_find_is_left_as_json(tmp_path):
    path = tmp_path / "found.json"
    accelerator.main(
        ["--small", "--sections", "ceilings", "projection", f"--out={path}"]
    )
    found = json.loads(path.read_text())
    assert found["ceilings"]["copy, GB/s"] > 0
    assert found["projection"]["float32, adam, over adam"] == 1


@pytest.mark.slow
def test_sections_of_deep_rl_find_rates(tmp_path):
    pytest.importorskip("gymnax")
    path = tmp_path / "found.json"
    sections = ["rainbow", "replay", "minatar"]
    accelerator.main(["--small", "--sections", *sections, f"--out={path}"])
    found = json.loads(path.read_text())
    assert found["replay"].keys() == {
        "frames on the host, ms a batch",
        "frames on the device, ms a batch",
    }
    assert found["rainbow"]["batches of 2, ms an update"] > 0
    games = found["minatar"]
    assert games["games: 2, steps of the agent/s"] == pytest.approx(
        2 * games["games: 2, updates/s"], rel=1e-3
    )


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["grokking", "warm-start", "cifar-cnn", "resnet18"])
def test_every_other_section_runs_at_small_sizes(name, tmp_path):
    path = tmp_path / "found.json"
    accelerator.main(["--small", "--sections", name, f"--out={path}"])
    found = json.loads(path.read_text())[name]
    assert found
    assert all(value != [] for key, value in found.items() if "waits" not in key)


def test_what_is_not_installed_is_left_out_in_a_line(tmp_path, monkeypatch, capsys):
    def lacks(small):
        raise UserError("it needs this: pip install that")

    monkeypatch.setattr(accelerator, "SECTIONS", {"lacks": lacks})
    path = tmp_path / "found.json"
    accelerator.main(["--small", f"--out={path}"])
    assert "lacks is left out: it needs this: pip" in capsys.readouterr().out
    assert json.loads(path.read_text())["left out"] == {
        "lacks": "it needs this: pip install that"
    }


def test_a_section_that_fails_stops_no_other(tmp_path, monkeypatch):
    def fails(small):
        raise ZeroDivisionError

    sections = {"fails": fails, "works": lambda small: {"is small": small}}
    monkeypatch.setattr(accelerator, "SECTIONS", sections)
    path = tmp_path / "found.json"
    with pytest.raises(SystemExit, match="failed: fails"):
        accelerator.main(["--small", f"--out={path}"])
    assert json.loads(path.read_text())["works"] == {"is small": True}


def test_a_ratio_is_taken_round_by_round():
    assert figures.ratio([1.0, 20.0, 3.0], [2.0, 10.0, 6.0]) == 0.5
    assert figures.milliseconds([0.1, 0.3, 0.2], per=100) == 2.0
