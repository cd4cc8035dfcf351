"""The toy experiment from end to end: stopped, damaged and continued."""

import dataclasses
import functools
import random
import subprocess
import time

import jax
import numpy as np
import pytest

from experiments.harness import command_line, files, session
from experiments.harness.checkpoints import Checkpoints
from helpers.checkout.run_directories import opened, state_at


@pytest.fixture(scope="session")
def reference(toy, tmp_path_factory):
    """A finished run, never stopped, and its final state."""
    path = tmp_path_factory.mktemp("reference") / "run"
    config = toy.Config(run_dir=str(path))
    return config, path, toy.train(config)


@pytest.fixture
def run_toy(toy, monkeypatch, capsys):
    """Runs the toy's command in this process; returns code, stdout and stderr."""

    def run(*argv):
        monkeypatch.setattr("sys.argv", ["toy", *map(str, argv)])
        code = command_line.run(toy.main)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def assert_as_reference(toy, reference, assert_same_bits):
    """Compares the bytes of the metrics and the bits of the final state."""

    def check(path):
        config, expected_path, expected_state = reference
        name = "metrics.jsonl"
        assert (path / name).read_bytes() == (expected_path / name).read_bytes()
        checkpoints = Checkpoints(path / "checkpoints")
        restored = checkpoints.restore(toy.build(config)[1])
        checkpoints.close()
        assert restored.step == config.num_steps
        assert_same_bits(restored.state, expected_state)

    return check


def test_a_run_leaves_these_files(reference):
    _, path, state = reference
    assert sorted(entry.name for entry in path.iterdir()) == [
        ".lock",
        "checkpoints",
        "clock.jsonl",
        "config.json",
        "finished.json",
        "loss.png",
        "metrics.jsonl",
        "summary.json",
    ]
    rows = files.read_json_lines(path / "metrics.jsonl")
    steps = [5, 10, 15, 20, 25, 27]
    assert [(row["step"], row["seed"]) for row in rows] == [
        (step, seed) for step in steps for seed in range(3)
    ]
    assert all(list(row) == ["step", "loss", "seed", "updates"] for row in rows)
    assert all(row["updates"] == row["step"] for row in rows)
    assert (state["step"] == 27).all()
    assert rows[-3]["loss"] < rows[0]["loss"]


def test_a_finished_run_is_reported_not_repeated(toy, reference, run_toy, monkeypatch):
    def build(config):
        pytest.fail("computed again")

    _, path, _ = reference
    before = {entry: entry.stat().st_mtime_ns for entry in path.rglob("*")}
    monkeypatch.setattr(toy, "build", build)
    code, out, err = run_toy("--run-dir", path)
    assert code == 0
    assert err == f"{path} holds this run, finished: its results are shown again\n"
    assert f"{path} is finished: loss 0." in out
    assert {entry: entry.stat().st_mtime_ns for entry in path.rglob("*")} == before


def test_another_config_is_refused(reference, run_toy):
    _, path, _ = reference
    code, _, err = run_toy("--run-dir", path, "--optimizer.learning-rate", "0.5")
    assert (code, err.count("\n")) == (1, 1)
    assert "optimizer.learning_rate is 0.05 there and 0.5 here" in err


@pytest.mark.slow
def test_step_by_step_gives_the_same_bytes(
    toy, reference, tmp_path, assert_as_reference
):
    config = dataclasses.replace(
        reference[0], run_dir=str(tmp_path / "run"), has_convolutions=True
    )
    toy.train(config)
    assert_as_reference(tmp_path / "run")


def with_event(build, num_chunks, event):
    """A `build` whose chunk does something else first, after so many."""

    def building(config):
        chunk, *rest = build(config)
        left = iter(range(num_chunks))

        def eventful(*args, **kwargs):
            if next(left, None) is None:
                event()
            return chunk(*args, **kwargs)

        return eventful, *rest

    return building


def interrupt(*args):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_interrupted_and_damaged_it_ends_the_same(
    toy, run_toy, tmp_path, monkeypatch, assert_as_reference
):
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(toy, "build", with_event(toy.build, 4, interrupt))
        code, _, err = run_toy("--run-dir", path)
    assert code == 130
    assert err == "interrupted: run the same command again to continue\n"
    newest = max((path / "checkpoints").iterdir(), key=lambda entry: int(entry.name))
    for file in newest.rglob("*"):
        if file.is_file():
            file.write_bytes(bytes(file.stat().st_size // 2))
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')
    code, _, err = run_toy("--run-dir", path)
    assert (code, err.count("\n")) == (0, 1)
    assert f"warning: the checkpoint of step {newest.name} is damaged" in err
    assert_as_reference(path)


@pytest.mark.slow
def test_stopped_between_the_last_checkpoint_and_the_summary(
    toy, run_toy, tmp_path, monkeypatch, assert_as_reference
):
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(toy, "draw", interrupt)
        assert run_toy("--run-dir", path)[0] == 130
    assert not (path / "summary.json").exists()
    assert run_toy("--run-dir", path)[0] == 0
    assert (path / "summary.json").exists()
    assert (path / "loss.png").exists()
    assert_as_reference(path)


@pytest.fixture(params=["metrics", "checkpoint"])
def free_disk(request, toy, tmp_path, limit_file_size, monkeypatch):
    """A disk that is full from the fourth chunk of the toy on, until it is freed.

    It is full in the middle of a line, or in the middle of a checkpoint.
    """

    def fill():
        metrics = (tmp_path / "run" / "metrics.jsonl").stat().st_size
        limit_file_size({"metrics": metrics + 10, "checkpoint": 1500}[request.param])

    def free():
        patch.undo()
        limit_file_size(None)

    with monkeypatch.context() as patch:
        patch.setattr(toy, "build", with_event(toy.build, 3, fill))
        yield free


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_nothing(
    run_toy, free_disk, assert_as_reference, tmp_path
):
    path = tmp_path / "run"
    code, _, err = run_toy("--run-dir", path)
    free_disk()
    assert (code, err.count("\n")) == (1, 1)
    assert "File too large" in err
    assert "free some space or raise the limit, then run the same command" in err
    finished = (path / "checkpoints").glob("*/about.json")
    assert sorted(int(file.parent.name) for file in finished) == [10, 15]
    code, _, err = run_toy("--run-dir", path)
    assert (code, err) == (0, "")
    assert_as_reference(path)


def wait_for_lines(process, path, num_lines):
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < num_lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same(
    toy, run_toy, tmp_path, start_python, assert_as_reference
):
    path = tmp_path / "run"
    moments = random.Random(0)
    argv = [toy.__file__, "--run-dir", path, "--pause-seconds", "0.5"]
    for num_rows in (3, 9):
        process = start_python(*argv)
        wait_for_lines(process, path / "metrics.jsonl", num_rows)
        if num_rows == 3:
            code, _, err = run_toy("--run-dir", path)
            assert (code, err.count("\n")) == (1, 1)
            assert f"in use by another process ({process.pid})" in err
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        _, err = process.communicate()
        assert (process.returncode, err) == (-9, "")
        assert not (path / "summary.json").exists()
    assert run_toy("--run-dir", path)[0] == 0
    assert_as_reference(path)
    clock = files.read_json_lines(path / "clock.jsonl")
    assert clock[-1]["session"] > 1


@pytest.mark.slow
def test_killed_many_times_it_ends_the_same(
    toy, run_toy, tmp_path, start_python, assert_as_reference
):
    path = tmp_path / "run"
    moments = random.Random(1)
    argv = [toy.__file__, "--run-dir", path, "--pause-seconds", "0.02"]
    for _ in range(8):
        process = start_python(*argv)
        wait_for_lines(process, path / "config.json", 1)
        time.sleep(moments.uniform(0, 2.0))
        process.kill()
        process.communicate()
    assert run_toy("--run-dir", path)[0] == 0
    assert_as_reference(path)


@pytest.mark.slow
def test_killed_every_few_seconds_it_ends(toy, reference, tmp_path, start_python):
    """With no time for a second checkpoint in any of the sessions."""
    path = tmp_path / "run"
    argv = [toy.__file__, "--run-dir", path, "--num-steps", "15"]
    argv += ["--pause-seconds", "1", "--checkpoint-seconds", "1000"]
    started = time.monotonic()
    process = start_python(*argv)
    while not list(path.glob("checkpoints/*/about.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert [entry.name for entry in (path / "checkpoints").iterdir()] == ["5"]
    # As long as a start and an evaluation take here and now, and a little more.
    period = 1.3 * (time.monotonic() - started)
    for _ in range(10):
        process = start_python(*argv)
        try:
            process.communicate(timeout=period)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            continue
        assert process.returncode == 0
        break
    whole = (reference[1] / "metrics.jsonl").read_bytes().splitlines()
    assert (path / "metrics.jsonl").read_bytes().splitlines() == whole[:9]
    assert (path / "summary.json").exists()


def test_seeds_differ(reference):
    _, _, state = reference
    w = jax.device_get(state["params"]["w"])
    assert (w[0] != w[1]).any()


@pytest.mark.parametrize(
    ("most_unsaved", "expected"), [(None, [5, 60]), (15, [5, 20, 35, 50, 60])]
)
def test_a_run_saves_before_it_overwrites_what_older_checkpoints_need(
    tmp_path, monkeypatch, most_unsaved, expected
):
    saved = []

    def save(checkpoints, step, *args):
        saved.append(step)

    monkeypatch.setattr(Checkpoints, "save", save)

    def chunk(state, num_steps):
        return state, {"a": 0.0}

    with opened(tmp_path, checkpoint_seconds=1e9) as run:
        session.run_to_end(
            run,
            chunk,
            state_at(0),
            num_steps=60,
            steps_per_chunk=5,
            most_unsaved=most_unsaved,
            quiet=True,
        )
    assert saved == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.25], "a 0.25\n"), ([0.2, 0.2, 1.1], "a 0.5 [0.2, 1.1]\n")],
)
def test_progress_shows_how_far_the_members_are_apart(
    tmp_path, monkeypatch, capsys, values, expected
):
    def chunk(state, num_steps):
        return state, {"a": np.asarray(values)}

    at_once = functools.partial(session.Progress, plain_seconds=0.0)
    monkeypatch.setattr(session, "Progress", at_once)
    with opened(tmp_path) as run:
        session.run_to_end(
            run,
            chunk,
            state_at(0),
            num_steps=5,
            steps_per_chunk=5,
            labels=[{"seed": seed} for seed in range(len(values))],
            shown=("a",),
        )
    assert capsys.readouterr().err.endswith(expected)
