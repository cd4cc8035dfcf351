import json
import os
import sys

import jax
import jax.numpy as jnp
import pytest

from experiments.harness import command_line, environment
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_files import is_finished, read_rows
from helpers.checkout.run_directories import (
    Config,
    Inner,
    opened,
    state_at,
    stopped_at_2,
)


def test_a_run_is_continued_from_its_checkpoint(tmp_path, capsys):
    with opened(tmp_path / "run") as run:
        initial = state_at(0)
        state, step = run.restore(initial)
        assert (state is initial, step) == (True, 0)
        run.record(1, [{"b": 1, "a": 0.5}], state_at(1))
        run.record(2, [{"a": 1.0, "b": 2}])
    with opened(tmp_path / "run") as run:
        state, step = run.restore(state_at(0))
        assert step == 1
        assert (state["x"] == 1).all()
        assert [row["step"] for row in run.rows()] == [1]
        run.record(2, [{"a": 1.0, "b": 2}, {"a": float("nan"), "b": 3}])
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (
        '{"step": 1, "a": 0.5, "b": 1}\n'
        '{"step": 2, "a": 1.0, "b": 2}\n'
        '{"step": 2, "a": "NaN", "b": 3}\n'
    )
    assert capsys.readouterr().err == ""


def test_rows_of_another_attempt_are_cut_off(tmp_path):
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.record(1, [{"a": 1}])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "a"')
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 0
        assert run.rows() == []


def test_a_checkpoint_covers_exactly_the_metrics_before_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        saves = []

        def save(step, state, covered):
            saves.append((covered.num_bytes, list(synced)))

        monkeypatch.setattr(run._checkpoints, "save", save)
        synced.clear()
        run.record(1, [{"a": 1}], state_at(1))
    size = len('{"step": 1, "a": 1}\n')
    assert saves == [(size, [size])]


def test_a_finished_run_is_read_and_locks_nothing(tmp_path, assert_same_bits, capsys):
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.record(1, [{"a": 1}], state_at(1))
        run.finish({"accuracy": jnp.float32(0.9), "rate": None})
        assert run.summary == {"accuracy": 0.9, "rate": None}
    (tmp_path / ".lock").unlink()
    (tmp_path / "metrics.jsonl").chmod(0o444)
    capsys.readouterr()
    with opened(tmp_path) as run:
        assert run.summary == {"accuracy": 0.9, "rate": None}
        state, step = run.restore(state_at(0))
        assert step == 1
        assert_same_bits(state, state_at(1))
        assert [row["a"] for row in run.rows()] == [1]
    assert not (tmp_path / ".lock").exists()
    assert f"{tmp_path} holds this run, finished" in capsys.readouterr().err


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path):
    with opened(tmp_path):
        pass
    with opened(tmp_path, Config(quiet=True)):
        pass
    with (
        pytest.raises(UserError) as error,
        opened(tmp_path, Config(steps=4, delay=2.0, inner=Inner(0.2))),
    ):
        pass
    assert (
        "another config: steps is 3 there and 4 here, delay is Infinity there and "
        "2.0 here, inner.rate is 0.1 there and 0.2 here;" in str(error.value)
    )


def test_a_second_user_is_refused_until_the_first_leaves(tmp_path):
    with opened(tmp_path):
        with pytest.raises(UserError, match=rf"in use by .* \({os.getpid()}\)"):
            opened(tmp_path).__enter__()
        with pytest.raises(UserError, match="in use by"):
            opened(tmp_path).__enter__()
    with opened(tmp_path):
        pass


def test_a_failure_on_entering_leaves_no_lock(tmp_path, monkeypatch):
    def fail():
        raise OSError("no device")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "describe", fail)
        with pytest.raises(OSError, match="no device"):
            opened(tmp_path).__enter__()
    with opened(tmp_path):  # and what a kill at that moment leaves is no obstacle
        assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize("name", ["thesis.tex", "config.json"])
def test_a_directory_of_something_else_is_refused(tmp_path, name):
    (tmp_path / name).write_text('{"model": "another program\'s"}')
    with pytest.raises(UserError, match="holds files but no run"):
        opened(tmp_path).__enter__()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not a directory"):
        opened(tmp_path / "file").__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a directory root cannot use")
@pytest.mark.parametrize("path", ["/sys/run", "/proc/run"])
def test_an_unwritable_directory_is_one_line(path, capsys):
    assert command_line.run(opened(path).__enter__) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert path in err
    assert "another directory" in err


def test_the_home_directory_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with opened("~/run") as run:
        assert run.path == tmp_path / "run"


def test_config_json_says_what_ran(tmp_path):
    with opened(tmp_path):
        saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["config"] == {
        "steps": 3,
        "quiet": False,
        "delay": "Infinity",
        "widths": [1, 2],
        "inner": {"rate": 0.1},
    }
    assert saved["environment"]["versions"]["jax"]


def test_continuing_elsewhere_warns_in_one_line(tmp_path, capsys):
    with opened(tmp_path):
        pass
    path = tmp_path / "config.json"
    saved = json.loads(path.read_text())
    saved["environment"]["versions"]["jaxlib"] = "0.0.1"
    saved["environment"]["device"]["cpu_cores"] = 99
    path.write_text(json.dumps(saved))
    with opened(tmp_path):
        pass
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "versions.jaxlib was 0.0.1 and is" in err
    assert "device.cpu_cores was 99 and is" in err


# Each as the environment, and as a context manager would set it.
SETTINGS = [
    ("jax_default_prng_impl", jax.default_prng_impl, "rbg"),
    ("jax_threefry_partitionable", jax.threefry_partitionable, False),
    ("jax_enable_x64", jax.enable_x64, True),
    ("jax_numpy_dtype_promotion", jax.numpy_dtype_promotion, "strict"),
    ("jax_default_matmul_precision", jax.default_matmul_precision, "highest"),
]


@pytest.mark.parametrize(("name", "set_to", "value"), SETTINGS)
def test_other_settings_of_jax_are_refused(tmp_path, name, set_to, value):
    with opened(tmp_path):
        pass
    before = getattr(jax.config, name)
    before = getattr(before, "value", before)
    message = f"{name} is {before} there and {value} here; name another directory"
    with set_to(value), pytest.raises(UserError, match=message):
        opened(tmp_path).__enter__()
    with opened(tmp_path):
        pass
    with set_to(value), opened(tmp_path / "own"):
        pass
    message = f"{name} is {value} there and {before} here"
    with pytest.raises(UserError, match=message):
        opened(tmp_path / "own").__enter__()


def test_all_settings_that_differ_are_in_the_line(tmp_path):
    with opened(tmp_path):
        pass
    with (
        jax.enable_x64(True),
        jax.default_prng_impl("rbg"),
        pytest.raises(UserError, match=r"prng_impl is .*, jax_enable_x64 is False "),
    ):
        opened(tmp_path).__enter__()


def test_a_directory_of_before_settings_were_recorded_is_continued(tmp_path, capsys):
    with opened(tmp_path):
        pass
    path = tmp_path / "config.json"
    saved = json.loads(path.read_text())
    del saved["jax_settings"]
    del saved["environment"]["rounding"]
    path.write_text(json.dumps(saved))
    with jax.default_prng_impl("rbg"), opened(tmp_path):
        pass
    assert capsys.readouterr().err == ""


def test_a_finished_run_under_other_settings_is_shown_but_not_gone_on_from(
    tmp_path, capsys
):
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.record(1, [{"a": 1}], state_at(1))
        run.finish({"accuracy": 0.5})
    with jax.default_prng_impl("rbg"), opened(tmp_path) as run:
        assert run.summary == {"accuracy": 0.5}
        assert [row["a"] for row in run.rows()] == [1]
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "as it ran: jax_default_prng_impl is threefry2x32 there and rbg" in err
        # Its state would be continued with what other settings draw.
        with pytest.raises(UserError, match="threefry2x32 there and rbg here"):
            run.restore(state_at(0))


def test_what_only_rounds_is_a_warning(tmp_path, capsys):
    with opened(tmp_path):
        pass
    with jax.disable_jit(), opened(tmp_path):
        pass
    assert "rounding.jax_disable_jit was False and is True" in capsys.readouterr().err


def test_checkpoints_are_due_by_the_clock_and_by_what_they_cost(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def save(run, step, seconds):
        def slow_save(step, state, covered):
            clock[0] += seconds

        monkeypatch.setattr(run._checkpoints, "save", slow_save)
        run.record(step, [], state_at(step))

    with opened(tmp_path, checkpoint_seconds=60.0) as run:
        run.restore(state_at(0))
        # At once, so that a run that is killed ever so often gets on.
        assert run.checkpoint_due(1)
        save(run, 1, seconds=30)  # the first includes the start of orbax
        clock[0] += 59
        assert not run.checkpoint_due(2)
        clock[0] += 1
        assert run.checkpoint_due(2)
        save(run, 2, seconds=10)
        clock[0] += 199  # 10 s of saving may be 5 % of the time: every 200 s
        assert not run.checkpoint_due(3)
        clock[0] += 1
        assert run.checkpoint_due(3)


def test_an_array_is_there_when_the_run_continues(tmp_path):
    with opened(tmp_path / "run") as run:
        array = run.array("frames", (3, 4), is_new=True)
        array[1] = 7
    with opened(tmp_path / "run") as run:
        again = run.array("frames", (3, 4), is_new=False)
        assert (again[1] == 7).all()
        assert again.sum() == 4 * 7
        for name, shape in (("frames", (4, 4)), ("others", (3, 4))):
            with pytest.raises(UserError, match=f"{name} is gone or damaged"):
                run.array(name, shape, is_new=False)
        assert not run.array("frames", (3, 4), is_new=True).any()
        run.restore(state_at(0))
        run.finish({"a": 1})
    assert not (tmp_path / "run" / "arrays").exists()


def test_arrays_behind_a_link_are_refused(tmp_path):
    with opened(tmp_path / "run"):
        pass
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "arrays").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="arrays is a link"):
        opened(tmp_path / "run").__enter__()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_recording_before_restoring_is_a_bug(tmp_path):
    with opened(tmp_path) as run, pytest.raises(RuntimeError, match="restore"):
        run.record(1, [])


def test_a_directory_that_is_a_link_to_nothing_is_out_of_reach(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "unmounted")
    with pytest.raises(UserError, match="run is out of reach"):
        opened(tmp_path / "run").__enter__()


def test_a_lock_that_is_no_file_is_refused(tmp_path):
    stopped_at_2(tmp_path)
    (tmp_path / ".lock").unlink()
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(UserError, match="no file of its own"):
        opened(tmp_path).__enter__()


def test_the_lock_is_not_taken_through_a_link(tmp_path):
    user = tmp_path / "thesis.tex"
    user.write_text("chapter 1")
    stopped_at_2(tmp_path / "run")
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(user)
    with pytest.raises(UserError, match=r"\.lock is a link"):
        opened(tmp_path / "run").__enter__()
    assert user.read_text() == "chapter 1"


def test_a_refusal_leaves_neither_a_lock_nor_a_directory(tmp_path, monkeypatch):
    stopped_at_2(tmp_path / "run")
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / "checkpoints").rename(tmp_path / "away")
    with pytest.raises(UserError, match="is gone"):
        opened(tmp_path / "run").__enter__()
    assert not (tmp_path / "run" / ".lock").exists()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunDirectory, "_describe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path / "new" / "run").__enter__()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_directory_version": 2}, "of a newer version"),
        ({"run_directory_version": "1"}, "is damaged"),
        ({"config": None}, "is damaged"),
        ({"jax_settings": 5}, "is damaged"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused(tmp_path, change, message):
    stopped_at_2(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(
        UserError, match=f"config.json {message}|config.json is {message}"
    ):
        opened(tmp_path).__enter__()


def test_an_environment_that_cannot_be_read_is_a_warning(tmp_path, capsys):
    stopped_at_2(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"environment": 5}))
    with opened(tmp_path):
        pass
    assert "does not say with what the run was begun" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["5", "{}", "[]", "null", "{", '{"accuracy": 0.7}'])
@pytest.mark.parametrize("with_digests", [True, False])
def test_a_summary_that_was_not_written_is_written_again(
    tmp_path, capsys, text, with_digests
):
    stopped_at_2(tmp_path)
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.finish({"accuracy": 0.5})
    assert is_finished(tmp_path)
    (tmp_path / "summary.json").write_text(text)
    if not with_digests:  # as in runs of before they were kept
        (tmp_path / "finished.json").unlink()
    decided = is_finished(tmp_path, lambda summary: summary == {"accuracy": 0.5})
    capsys.readouterr()
    fits = {"summary_fits": lambda summary: summary == {"accuracy": 0.5}}
    with opened(tmp_path, **fits) as run:
        assert (run.summary is not None) == decided
        assert run.summary is None
        run.restore(state_at(0))
        run.finish({"accuracy": 0.5})
    assert "summary.json is damaged: it is written again" in capsys.readouterr().err
    assert is_finished(tmp_path)


def test_a_run_of_another_experiment_is_named(tmp_path):
    with RunDirectory(tmp_path, Config(), about={"experiment": "atari"}):
        pass
    other = RunDirectory(tmp_path, Config(), about={"experiment": "grokking"})
    with pytest.raises(UserError, match=r"another experiment \(atari, and .* grokking"):
        other.__enter__()


def test_a_damaged_summary_is_none_after_a_kill(tmp_path):
    stopped_at_2(tmp_path)
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.finish({"accuracy": 0.5})
    (tmp_path / "summary.json").write_text('{"accuracy": 0.7}')
    with opened(tmp_path) as run:
        run.restore(state_at(0))  # and is killed before it finishes
    assert not is_finished(tmp_path)


def test_damaged_metrics_of_a_finished_run_are_named(tmp_path):
    stopped_at_2(tmp_path)
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.finish({"accuracy": 0.5})
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes().replace(b'"a": 1', b'"a": 7'))
    for read in (opened(tmp_path).__enter__, lambda: read_rows(tmp_path)):
        with pytest.raises(UserError, match=r"metrics.jsonl is damaged .*copy"):
            read()


@pytest.mark.parametrize("name", [b"a\xffb", "é".encode("latin-1")])
def test_a_path_that_is_not_utf_8_is_one_line(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    with pytest.raises(UserError, match="is not UTF-8"):
        opened(path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_run_gets_on_however_often_it_is_killed(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    save = Checkpoints.save

    def slow_save(self, *args):
        clock[0] += 1000.0  # the start of orbax
        save(self, *args)

    monkeypatch.setattr(Checkpoints, "save", slow_save)
    reached = 0
    for session in range(1, 4):
        with opened(tmp_path, checkpoint_seconds=1e6) as run:
            _, reached = run.restore(state_at(0))
            assert reached == session - 1
            # Killed after its first evaluation.
            due = run.checkpoint_due(reached + 1)
            run.record(reached + 1, [{"a": 1}], state_at(reached + 1) if due else None)
