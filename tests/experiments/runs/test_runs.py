"""The table of runs: the runs found, their states and the columns chosen."""

import csv
import dataclasses
import io
import json
import os
import shutil
import socket
import subprocess
import sys

import jax.numpy as jnp
import pytest

from experiments.harness import arm_groups, family, found_runs, run_members
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_members import Member
from experiments.runs import __main__ as command
from experiments.runs import columns, csv_text, reading, selection, table
from helpers.checkout import programs
from helpers.checkout.parity.family import FAMILY

TINY = FAMILY.config_class(num_steps=4, eval_every=2, num_bits=3, width=2)


@pytest.fixture(scope="module")
def runs_path(tmp_path_factory):
    """A finished run of two seeds, a group of two arms, and one that was stopped."""
    path = tmp_path_factory.mktemp("home") / "runs"
    finished = dataclasses.replace(
        TINY, num_seeds=2, run_directory=path / "parity" / "finished"
    )
    family.run(FAMILY, finished)
    arms = {"slow": TINY, "quick": dataclasses.replace(TINY, learning_rate=0.5)}
    arm_groups.run(FAMILY, arms, [7], path / "arms")
    stop(path / "parity" / "stopped", dataclasses.replace(TINY, width=3))
    (path / "notes").mkdir()
    (path / "notes" / "config.json").write_text('{"a": "stranger"}')
    (path / "notes" / "metrics.jsonl").write_text("no JSON")
    return path


def stop(path, config):
    """Leaves a run as a kill does after its first evaluation."""
    with RunDirectory(path, config, about=FAMILY.about(config)) as run:
        state, _ = run.restore({"x": jnp.zeros(1)})
        run.record(2, [{"seed": config.seed, "test_accuracy": 0.5}], state)
        run.record(3, [{"seed": config.seed, "test_accuracy": 0.25}])
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "see')


def read_all(path):
    return [run for found in found_runs.find([path]) for run in reading.read(found)]


def contents(path):
    """Every file with its bytes, and when it was written."""
    return {
        at: (at.read_bytes(), at.stat().st_mtime_ns)
        for at in sorted(path.rglob("*"))
        if at.is_file()
    }


@pytest.fixture
def show(monkeypatch, capsys):
    """Runs the command; returns its exit code, stdout and stderr."""
    return lambda *argv: programs.call(command.main, monkeypatch, capsys, argv)


def test_each_member_is_a_run(runs_path):
    before = contents(runs_path)
    runs = read_all(runs_path)
    assert contents(runs_path) == before
    got = [(run.path.parent.name, run.arm, run.seed, run.state) for run in runs]
    assert got == [
        ("arms", "slow", 7, "finished"),
        ("arms", "quick", 7, "finished"),
        ("parity", "", 0, "finished"),
        ("parity", "", 1, "finished"),
        ("parity", "", 0, "stopped"),
    ]
    assert {run.experiment for run in runs} == {"parity"}
    assert [(run.update, run.num_updates) for run in runs] == [*[(4, 4)] * 4, (3, 4)]
    assert [run.outcome for run in runs] == ["", "", "finished", "finished", ""]
    assert [run.config["learning_rate"] for run in runs] == [0.1, 0.5, 0.1, 0.1, 0.1]
    assert runs[4].metrics == {"test_accuracy": 0.25}


def test_a_run_under_way_names_its_process(tmp_path):
    path = tmp_path / "run"
    with RunDirectory(path, TINY, about=FAMILY.about(TINY)) as run:
        (now,) = reading.read(path)
        assert (now.state, now.outcome) == ("running", f"process {os.getpid()}")
        assert (now.update, now.num_updates) == (0, 4)
        run.restore({"x": jnp.zeros(1)})
        run.record(2, [{"seed": 0, "a": 1.0}])
        (now,) = reading.read(path)
        assert (now.update, now.metrics) == (2, {"a": 1.0})
    (now,) = reading.read(path)
    assert now.state == "stopped"
    (path / ".lock").write_text(f"{os.getpid()} {socket.gethostname()}")
    assert reading.read(path)[0].state == "stopped"  # another use of the number
    (path / ".lock").write_text("12 elsewhere.example")
    (now,) = reading.read(path)
    assert now.state == "elsewhere"
    assert now.outcome == "process 12 of elsewhere.example, if it lives"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("config.json", None, "config.json is gone or damaged"),
        ("config.json", "{", "config.json is gone or damaged"),
        ("config.json", '{"run_directory_version": 1}', "config.json is damaged"),
        (
            "config.json",
            '{"run_directory_version": 9}',
            "config.json is of a newer version of this program (run_directory_version "
            "9, and 1 is known here)",
        ),
        ("metrics.jsonl", None, "metrics.jsonl is gone or damaged"),
        (
            "metrics.jsonl",
            "no JSON\n",
            "metrics.jsonl is damaged (line 1 is no JSON object)",
        ),
        (
            "metrics.jsonl",
            "[1]\n",
            "metrics.jsonl is damaged (line 1 is no JSON object)",
        ),
    ],
)
def test_what_is_damaged_says_so(runs_path, tmp_path, name, text, why):
    path = tmp_path / "run"
    shutil.copytree(runs_path / "parity" / "finished", path)
    (path / name).unlink()
    if text is not None:
        (path / name).write_text(text)
    assert [*found_runs.find([tmp_path])] == [path]
    assert reading.read(path) == [reading.Run(path, "damaged", outcome=why)]


def test_what_is_out_of_reach_says_so(runs_path, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(runs_path / "parity" / "finished", path)
    (path / "metrics.jsonl").unlink()
    os.mkfifo(path / "metrics.jsonl")
    (run,) = reading.read(path)
    assert run.state == "damaged"
    assert run.outcome.startswith("metrics.jsonl has to be a file and is none")


def test_strange_contents_are_no_traceback(runs_path, tmp_path, show):
    path = tmp_path / "run"
    shutil.copytree(runs_path / "parity" / "stopped", path)
    description = json.loads((path / "config.json").read_text())
    strange = [None, 1, "x", [], {}, {"a": []}, [{"outcome": 3}], "\x1b[31m[red]"]
    for value in strange:
        for key in ("config", "about"):
            changed = {**description, key: value}
            (path / "config.json").write_text(json.dumps(changed))
            assert reading.read(path)
        for key in ("seed", "num_seeds", "arms", "settings", "num_steps", "width"):
            config = {**description["config"], key: value}
            changed = {**description, "config": config}
            (path / "config.json").write_text(json.dumps(changed))
            code, out, _ = show(tmp_path, runs_path)
            assert code == 0
            assert "\x1b" not in out
        for row in ({"step": value}, {"arm": value, "x": value}, {"seed": value}):
            (path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
            assert reading.read(path)
        (path / "summary.json").write_text(json.dumps(value))
        assert reading.read(path)
        (path / "summary.json").unlink()


def test_a_digest_is_compared_on_demand(runs_path, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(runs_path / "parity" / "finished", path)
    text = (path / "metrics.jsonl").read_text()
    (path / "metrics.jsonl").write_text(text.replace('"step": 2', '"step": 3', 1))
    assert reading.read(path)[0].state == "finished"
    assert reading.read(path, check=True)[0].state == "damaged"


def test_links_are_followed_and_every_run_is_found_once(runs_path, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    (tmp_path / "run").symlink_to(runs_path / "parity" / "finished")
    found = [*found_runs.find([tmp_path, tmp_path / "run", runs_path])]
    assert found[0] == tmp_path / "run"
    assert len(found) == len({path.resolve() for path in found}) == 3


def test_what_was_gathered_is_found_once(tmp_path):
    path = tmp_path / "figure"

    def finish(name, summary):
        with RunDirectory(path / name, TINY) as run:
            run.restore({"x": jnp.zeros(1)})
            run.record(1, [{"seed": 0, "train_loss": 1.0}])
            run.finish(summary)
        return path / name

    parts = [finish(f"parts/{name}", {"ended": True}) for name in "abc"]
    one = finish("one", {"gathered": {"a": {}}})
    two = finish("two", {"gathered": {"a": {}, "b": {}}})
    alone = finish("alone", {"ended": True})
    every = [alone, one, *parts, two]
    assert list(found_runs.find([tmp_path])) == every
    assert list(found_runs.find([tmp_path], parts=False)) == [alone, parts[2], two]
    assert list(found_runs.find([path / "parts"], parts=False)) == parts


def test_the_last_rows_of_long_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr(run_members, "_BLOCK", 16)
    lines = [
        json.dumps({"step": step, "seed": seed, "x": "y" * 50})
        for step in range(20)
        for seed in range(5)
    ]
    # The last step was recorded of one member only.
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines[:96]) + "\n")
    rows = run_members.last_rows(tmp_path)
    steps = {member.seed: row["step"] for member, row in rows.items()}
    assert steps == {0: 19, 1: 18, 2: 18, 3: 18, 4: 18}


def test_members_of_a_config():
    group = {"arms": {"a": {}, "b": {}}, "seeds": [3, 4]}
    assert [member.name for member in run_members.of_config(group)] == [
        *("a, seed 3", "a, seed 4", "b, seed 3", "b, seed 4")
    ]
    assert run_members.of_config({"seed": 3, "num_seeds": 2}) == [
        *(Member("", 3), Member("", 4))
    ]
    assert run_members.of_config({"seed": [1]}) == [Member("", None)]
    settings = {"all_settings": {"a": {"x": 2}}, "arms": {"a": {}}}
    assert run_members.config_of(Member("a", 0), settings) == {"x": 2}


def test_settings_that_differ_and_the_usual_metrics_are_shown(runs_path):
    runs = read_all(runs_path)
    shown = [column.name for column in columns.choose(runs)]
    assert shown == [
        *("path", "experiment", "arm", "seed", "state", "update", "num_updates"),
        *("width", "learning_rate"),
        *("test_accuracy", "train_accuracy", "train_loss", "outcome"),
    ]


def test_a_metric_with_the_name_of_a_setting_is_told_apart():
    runs = [
        reading.Run(None, "stopped", config={"rate": rate}, metrics={"rate": 9.0})
        for rate in (1, 2)
    ]
    shown = columns.choose(runs, ["rate"])
    assert [c.name for c in shown[-3:-1]] == ["rate", "last.rate"]
    assert [c.value(runs[0]) for c in shown[-3:-1]] == [1, 9.0]


def test_conditions_and_order(runs_path):
    runs = read_all(runs_path)

    def seeds(*conditions):
        return [run.seed for run in selection.filtered(runs, conditions)]

    assert seeds("state=finished") == [7, 7, 0, 1]
    assert seeds("state!=finished") == [0]
    assert seeds("learning_rate>=0.5") == [7]
    assert seeds("learning_rate<0.5", "seed>0") == [7, 1]
    assert seeds("arm=slow") == [7]
    assert seeds("train_loss>0") == [7, 7, 0, 1]
    by_seed = selection.ordered(runs, "seed", descending=True)
    assert [run.seed for run in by_seed] == [7, 7, 1, 0, 0]
    by_loss = selection.ordered(runs, "train_loss")
    assert by_loss[-1].state == "stopped"  # which has none


def test_what_is_not_finite_is_no_number():
    runs = [
        reading.Run(None, "stopped", seed=seed, metrics={"loss": loss})
        for seed, loss in enumerate([float("nan"), 2.0, float("inf"), 1.0])
    ]
    assert [run.seed for run in selection.ordered(runs, "loss")] == [3, 1, 2, 0]
    assert [run.seed for run in selection.filtered(runs, ["loss>1"])] == [1, 2]


def test_the_command_prints_a_table(runs_path, show, monkeypatch):
    monkeypatch.chdir(runs_path.parent)
    code, out, err = show()
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split()[:2] == ["path", "experiment"]
    assert len(lines) == 5
    assert lines[2].split()[:4] == ["runs/parity/finished", "parity", "0", "finished"]
    assert lines[3].split()[:3] == ["parity", "1", "finished"]
    assert "3 of 4" in lines[4]


def test_the_command_writes_csv(runs_path, show):
    code, out, _ = show(runs_path, "--csv", "--metrics", "train_loss", "--sort=seed")
    rows = [*csv.DictReader(io.StringIO(out))]
    assert code == 0
    assert [row["seed"] for row in rows] == ["0", "0", "1", "7", "7"]
    loss = read_all(runs_path)[2].metrics["train_loss"]
    assert float(rows[0]["train_loss"]) == loss


def test_a_narrow_terminal_is_told_what_is_left_out(runs_path):
    runs = read_all(runs_path)
    shown = columns.choose(runs)
    stream = io.StringIO()
    left_out = table.show(runs, shown, stream=stream, width=90)
    assert left_out
    assert all(len(line) <= 90 for line in stream.getvalue().splitlines())
    assert "finished" in stream.getvalue()
    assert table.show(runs, shown, stream=io.StringIO(), width=1000) == []


@pytest.mark.parametrize(
    ("argv", "end"),
    [
        (["nowhere"], (1, "error: nowhere cannot be read (No such file or directory)")),
        (["empty"], (1, "error: there are no runs in empty: name another directory")),
        (["--metrics", "los"], (1, "error: no run has 'los'")),
        (["--sort", "widht"], (1, "no run has 'widht': did you mean width?")),
        (["--where", "widht=3"], (1, "no run has 'widht': did you mean width?")),
        (["--where", "width"], (2, "where=width: must be a name, one of")),
        (["--where", "width=99"], (0, "none of 5 runs meets width=99")),
    ],
)
def test_mistakes_are_one_line(runs_path, show, monkeypatch, argv, end):
    monkeypatch.chdir(runs_path.parent)
    (runs_path.parent / "empty").mkdir(exist_ok=True)
    got, out, err = show(*argv)
    code, said = end
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert said in err


def test_values_keep_their_digits_and_line_breaks_in_csv():
    runs = [reading.Run(None, "stopped", config={"x": x}) for x in (0.1 + 0.2, "a\nb")]
    text = csv_text.render(runs, [columns.named("x", runs)])
    assert text == 'x\n0.30000000000000004\n"a\nb"\n'


def test_jax_is_not_imported():
    code = (
        "import sys; import experiments.runs.__main__; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=programs.ROOT)
    imported = set(printed.decode().split())
    assert not {"jax", "flax", "orbax", "matplotlib", "tensorflow"} & imported
    assert "rich" in imported
