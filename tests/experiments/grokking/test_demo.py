"""The demo from end to end at a tiny size."""

import dataclasses
import json
import shutil

import pytest

from experiments.grokking import demo, experiment
from experiments.grokking.family import FAMILY
from experiments.harness import family, files
from experiments.harness.messages import UserError
from helpers.checkout.rows import assert_same_rows

TINY = demo.DemoConfig(
    modulus=5,
    train_fraction=0.5,
    memorise_steps=20,
    rewarm_steps=100,
    cooldown_steps=0,
    peak_learning_rates=(1e-2,),
    eval_every=20,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = dataclasses.replace(
        TINY, run_directory=tmp_path_factory.mktemp("demo") / "run"
    )
    demo.demo(config)
    return config


def test_a_finished_demo_is_shown_again_not_repeated(finished, monkeypatch, capsys):
    picture = finished.run_directory / "grokking_on_demand.png"
    before = picture.read_bytes()
    assert before.startswith(b"\x89PNG")
    monkeypatch.setattr(experiment, "Experiment", pytest.fail)
    demo.demo(finished)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == str(picture)
    assert lines[-2].startswith("Of 2 copies of the network that had memorised, ")
    assert lines[-1].startswith("This is not what the demo promises: the network had")
    summary = json.loads((finished.run_directory / "arms/summary.json").read_text())
    assert summary["outcome"] == lines[-2]
    assert [line.split("  ")[0] for line in lines[1:-3]] == [
        "memorised, update 20",
        "left at 0.0001, update 120",
        "re-warmed to 0.01, update 120",
    ]
    assert picture.read_bytes() == before


def test_a_demo_whose_arms_had_other_defaults_is_refused(finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished.run_directory, path)
    for saved in path.glob("*/config.json"):
        saved.write_text(saved.read_text().replace('"adam_b2": 0.95', '"adam_b2": 0.9'))
    with pytest.raises(UserError, match=r"adam_b2 is 0\.9 there and 0\.95 here"):
        demo.demo(dataclasses.replace(finished, run_directory=path))


def test_another_seed_has_a_directory_of_its_own():
    one, other, moved = (
        dataclasses.replace(TINY, seed=0),
        dataclasses.replace(TINY, seed=1),
        dataclasses.replace(TINY, seed=0, run_directory="elsewhere"),
    )
    assert one.path.parent == other.path.parent
    assert one.path != other.path
    assert moved.path == "elsewhere"


def test_an_arm_equals_its_own_run(finished, tmp_path):
    """The re-warmed one; the other differs from it in numbers only."""
    name, arm = list(finished.arms.items())[-1]
    path, _ = family.run(FAMILY, dataclasses.replace(arm, run_directory=tmp_path))
    rows = files.read_json_lines(finished.run_directory / "arms/metrics.jsonl")
    own = [row for row in rows if row.pop("arm") == name]
    alone = files.read_json_lines(path / "metrics.jsonl")
    after = [row for row in alone if row["step"] > finished.memorise_steps]
    assert_same_rows(own, after)


def test_arms_never_start_from_a_network_that_has_not_memorised(finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished.run_directory, path)
    shutil.rmtree(path / "arms")
    shutil.rmtree(path / "memorise/checkpoints")
    with pytest.raises(UserError, match="lost the checkpoint of its last update"):
        demo.demo(dataclasses.replace(finished, run_directory=path))


def test_a_first_part_that_was_removed_is_run_again(finished, tmp_path, capsys):
    path = tmp_path / "run"
    shutil.copytree(finished.run_directory, path)
    shutil.rmtree(path / "memorise")
    demo.demo(dataclasses.replace(finished, run_directory=path))
    kept, again = (
        (top / "memorise/metrics.jsonl").read_bytes()
        for top in (finished.run_directory, path)
    )
    assert kept == again
    shutil.rmtree(path / "memorise")
    (path / "memorise").symlink_to(tmp_path / "unmounted")
    with pytest.raises(UserError, match="memorise is out of reach"):
        demo.demo(dataclasses.replace(finished, run_directory=path))


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a run of something else"):
        demo.demo(dataclasses.replace(TINY, run_directory=tmp_path))


def test_a_demo_that_diverges_says_so(tmp_path, capsys):
    hot = dataclasses.replace(
        TINY, low_learning_rate=1e30, run_directory=tmp_path / "run"
    )
    demo.demo(hot)
    said = capsys.readouterr().out.splitlines()[-2]
    assert "left at 1e+30 diverged at update 40" in said
    assert (tmp_path / "run/grokking_on_demand.png").exists()
