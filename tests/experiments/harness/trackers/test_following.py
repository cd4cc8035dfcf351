"""Runs with trackers: the same bytes with them, without them and where they fail."""

import dataclasses
import json
import shutil
import time

import pytest

from experiments.export import __main__ as command
from experiments.harness import arm_groups, family
from experiments.harness.trackers import following, registry
from experiments.reproduce.figure import Preset
from helpers.checkout import programs
from helpers.checkout.parity.family import FAMILY

TINY = FAMILY.config_class(
    **{"num_steps": 6, "eval_every": 2, "num_bits": 3, "width": 2},
    num_seeds=2,
    checkpoint_seconds=0.0,
)
LOGGED = dataclasses.replace(TINY, log=("tensorboard",))
LONG = dataclasses.replace(LOGGED, num_steps=6_000)
"""It lasts, because it evaluates so often, and needs no other program."""
AGAIN = "python -m experiments.export '/"
"""What logs a run, whose path needs quotes for a shell."""


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The directory of a run without trackers."""
    path = tmp_path_factory.mktemp("without") / "run"
    family.run(FAMILY, dataclasses.replace(TINY, run_directory=path))
    return path


def result(path):
    """What a run has computed, bit by bit."""
    summary = json.loads((path / "summary.json").read_text())
    for entry in summary:
        del entry["steps_per_second"], entry["wall_seconds"]
    digests = json.loads((path / "finished.json").read_text())
    return (path / "metrics.jsonl").read_bytes(), summary, digests["metrics"]


def scalars(directory):
    """What the last event file there says of scalars: step, name and value."""
    *empty, path = sorted(directory.glob("events.out.tfevents.*"))
    assert len(empty) <= 1
    assert not any(old.stat().st_size for old in empty)
    told = [json.loads(line) for line in path.read_text().splitlines()]
    return [one for one in told if one[0] != "text"]


def expected(path, **label):
    """What it should say."""
    rows = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    return [
        [row["step"], name, row[name]]
        for row in rows
        if all(row[key] == label[key] for key in label)
        for name in row
        if name not in ("step", "seed", "arm")
    ]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_is_logged_and_computes_the_same(stub, without, tmp_path, capfd):
    config = dataclasses.replace(LOGGED, run_directory=tmp_path / "run")
    path, _ = family.run(FAMILY, config)
    assert result(path) == result(without)
    for seed in (0, 1):
        logged = scalars(path / "tensorboard" / f"seed {seed}")
        assert logged == expected(path, seed=seed)
    assert "warning" not in capfd.readouterr().err
    (event_file,) = (path / "tensorboard" / "seed 0").iterdir()
    family.run(FAMILY, config)  # nothing is left to log
    assert [*(path / "tensorboard" / "seed 0").iterdir()] == [event_file]


@pytest.mark.slow
@pytest.mark.parametrize(
    "failure",
    [
        (
            "open",
            "raise",
            "and the run goes on without: ConnectionError: nobody answers",
        ),
        (
            "log",
            "raise",
            "and the run goes on without: ConnectionError: nobody answers",
        ),
        ("close", "raise", "and the run goes on without: ConnectionError: nobody"),
        ("log", "exit", "and the run goes on without: SystemExit: a library's own way"),
        ("log", "kill", "the process that logs to tensorboard was ended (-9)"),
        ("open", "hang", "tensorboard has not logged all within 3 s: " + AGAIN),
        ("close", "hang", "tensorboard has not logged all within 3 s: " + AGAIN),
    ],
)
def test_a_tracker_that_fails_is_one_line(stub, without, monkeypatch, capfd, failure):
    moment, how, said = failure
    monkeypatch.setenv(f"STUB_{moment}", how)
    if how == "hang":
        monkeypatch.setattr(following, "FINISH_SECONDS", 3.0)
    config = dataclasses.replace(LOGGED, run_directory=stub.parent / "my run")
    path, _ = family.run(FAMILY, config)
    err = capfd.readouterr().err
    warnings = [line for line in err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert said in warnings[0]
    assert "what a library prints" not in err
    assert result(path) == result(without)
    monkeypatch.delenv(f"STUB_{moment}")
    family.run(FAMILY, config)  # logs what is missing
    assert scalars(path / "tensorboard" / "seed 1") == expected(path, seed=1)


def test_what_is_not_installed_is_said_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.PACKAGES, "tensorboard", "no_such_package")
    monkeypatch.setattr(type(FAMILY.code()), "load", pytest.fail)
    config = dataclasses.replace(LOGGED, run_directory=tmp_path / "run")
    why = "needs the package no_such_package, which is not installed: pip install -e "
    with pytest.raises(family.UserError, match=why):
        family.run(FAMILY, config)
    with pytest.raises(family.UserError, match=why):
        arm_groups.run(FAMILY, {"own": LOGGED}, [0], tmp_path / "arms")
    assert [*tmp_path.iterdir()] == []


def test_arms_are_series_of_their_own(stub, tmp_path):
    base = dataclasses.replace(LOGGED, num_seeds=1)
    arms = {"slow": base, "quick": dataclasses.replace(base, learning_rate=0.5)}
    arm_groups.run(FAMILY, arms, [3, 4], tmp_path / "arms")
    (path,) = (tmp_path / "arms").iterdir()
    for arm in arms:
        for seed in (3, 4):
            logged = scalars(path / "tensorboard" / f"{arm}, seed {seed}")
            assert logged == expected(path, arm=arm, seed=seed)


def test_where_metrics_go_is_no_part_of_a_run(stub, tmp_path):
    arms = [arm_groups.groups(FAMILY, {"a": one}, [0])[0] for one in (TINY, LOGGED)]
    assert arms[0] == arms[1]
    names = {
        family.default_path("parity", one, FAMILY.ignored) for one in (TINY, LOGGED)
    }
    assert len(names) == 1
    preset = Preset({"a": TINY}, 1, ()).with_settings({"log": ("tensorboard",)})
    assert preset.arms == {"a": LOGGED}


@pytest.mark.slow
def test_a_run_that_was_not_logged_is_when_it_is_shown(stub, without, tmp_path):
    path = tmp_path / "run"
    family.run(FAMILY, dataclasses.replace(TINY, run_directory=path))
    assert not (path / "tensorboard").exists()
    family.run(FAMILY, dataclasses.replace(LOGGED, run_directory=path))
    assert scalars(path / "tensorboard" / "seed 0") == expected(path, seed=0)


def test_runs_on_disk_are_exported_again_and_again(stub, without, monkeypatch, capsys):
    def export(*argv):
        return programs.call(command.main, monkeypatch, capsys, argv)

    before = result(without)
    for _ in range(2):
        code, out, err = export(without.parent, "--to", "tensorboard")
        assert (code, out, err) == (0, f"{without / 'tensorboard'}\n", "")
        logged = scalars(without / "tensorboard" / "seed 1")
        assert logged == expected(without, seed=1)
    assert result(without) == before


def test_one_run_that_fails_does_not_stop_others(
    stub, without, tmp_path, monkeypatch, capsys
):
    for name in ("a", "b"):
        shutil.copytree(without, tmp_path / name)
    (tmp_path / "a" / "metrics.jsonl").write_text("no JSON\n")
    argv = [tmp_path, "--to", "tensorboard"]
    code, out, err = programs.call(command.main, monkeypatch, capsys, argv)
    assert (code, out) == (1, f"{tmp_path / 'b' / 'tensorboard'}\n")
    assert err.count("\n") == 1
    assert f"warning: {tmp_path / 'a'} was not logged to tensorboard: " in err


@pytest.mark.parametrize(
    ("argv", "end"),
    [
        ([], (2, "name one directory of runs or more")),
        (["runs"], (2, "to=(): must be one tracker or more")),
        (
            ["runs", "--to", "wandb", "--directories=x"],
            (2, "unknown flag --directories; see"),
        ),
        (["runs", "--to", "mlflow"], (2, "invalid choice 'mlflow'")),
        (["runs", "--to", "tensorboard"], (1, "runs cannot be read")),
        ([".", "--to", "tensorboard"], (1, "there are no runs in .")),
    ],
)
def test_mistakes_are_one_line(stub, monkeypatch, capsys, argv, end):
    (stub.parent / "empty").mkdir()
    monkeypatch.chdir(stub.parent / "empty")
    code, out, err = programs.call(command.main, monkeypatch, capsys, argv)
    assert (code, out, err.count("\n")) == (end[0], "", 1)
    assert end[1] in err


@pytest.mark.slow
def test_a_killed_run_logs_each_step_once(stub, tmp_path_factory, tmp_path):
    path = tmp_path / "run"
    argv = programs.flags(LONG, run_directory=path)
    compiled = tmp_path / "compiled"

    def start():
        # programs.start replaces PYTHONPATH.
        paths = {"PYTHONPATH": f"{stub}:{programs.ROOT / 'tests'}"}
        return programs.start("helpers.checkout.parity", argv, compiled, **paths)

    programs.kill_and_continue(start, path, num_kills=2)
    for seed in (0, 1):
        logged = scalars(path / "tensorboard" / f"seed {seed}")
        assert logged == expected(path, seed=seed)


@pytest.mark.slow
def test_the_follower_of_a_killed_run_logs_what_is_left(stub, tmp_path):
    path = tmp_path / "run"
    argv = programs.flags(LONG, run_directory=path)
    paths = {"PYTHONPATH": f"{stub}:{programs.ROOT / 'tests'}"}
    process = programs.start("helpers.checkout.parity", argv, tmp_path / "c", **paths)
    metrics = path / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.stat().st_size)
    process.kill()
    process.wait()
    wait_for((path / "tensorboard" / "logged.json").exists)
    text = metrics.read_text()
    metrics.write_text(text[: text.rfind("\n") + 1])
    assert scalars(path / "tensorboard" / "seed 0") == expected(path, seed=0)
