"""The checks of an unfinished run before anything is written to it."""

import pytest

from experiments.harness.messages import UserError
from helpers.checkout.run_directories import (
    opened,
    state_at,
    stopped_at_2,
)


def test_damaged_metrics_are_computed_again_from_the_checkpoint_before(
    tmp_path, capsys
):
    stopped_at_2(tmp_path)
    metrics = tmp_path / "metrics.jsonl"
    damaged = metrics.read_bytes().replace(b'"a": 2', b'"a": 7')
    metrics.write_bytes(damaged)
    capsys.readouterr()
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 1
        assert [row["a"] for row in run.rows()] == [1]
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "step 2 cannot be used, set aside: the metrics before it are not" in err
    assert "continuing from step 1" in err
    aside = tmp_path / "unusable_checkpoints"
    assert (aside / "metrics.jsonl").read_bytes() == damaged
    assert (aside / "2" / "about.json").exists()


def test_what_was_set_aside_before_is_kept(tmp_path, capsys):
    for _ in range(2):
        with opened(tmp_path) as run:
            run.restore(state_at(0))
            run.record(1, [{"a": 1}], state_at(1))
        about = tmp_path / "checkpoints" / "1" / "about.json"
        about.write_bytes(bytes(9))
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 0
    names = {path.name for path in (tmp_path / "unusable_checkpoints").iterdir()}
    assert {"1", "1.1"} <= names


@pytest.mark.parametrize("damage", [b"", b'{"step": 1, "b": 1}\n', None])
def test_metrics_that_no_checkpoint_is_from_before_are_named(tmp_path, damage):
    stopped_at_2(tmp_path)
    metrics = tmp_path / "metrics.jsonl"
    kept = metrics.read_bytes()
    metrics.unlink()
    if damage is not None:
        metrics.write_bytes(damage + kept[len(damage) :] if damage else b"")
    with pytest.raises(UserError, match=r"metrics.jsonl is damaged .* put back a copy"):
        opened(tmp_path).__enter__()
    assert not (tmp_path / "unusable_checkpoints").exists()
    metrics.write_bytes(kept)
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 2


def test_checkpoints_that_are_away_are_not_begun_again(tmp_path):
    stopped_at_2(tmp_path)
    (tmp_path / "checkpoints").rename(tmp_path / "away")
    with pytest.raises(UserError, match="checkpoints is gone: put it back"):
        opened(tmp_path).__enter__()
    (tmp_path / "away").rename(tmp_path / "checkpoints")
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 2


def test_checkpoints_behind_a_link_are_refused_and_a_directory_behind_one_is_not(
    tmp_path,
):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "scratch")
    stopped_at_2(tmp_path / "run")
    moved = tmp_path / "moved"
    (tmp_path / "scratch" / "checkpoints").rename(moved)
    (tmp_path / "scratch" / "checkpoints").symlink_to(moved)
    with pytest.raises(UserError, match=r"checkpoints is a link.*the whole directory"):
        opened(tmp_path / "run").__enter__()


@pytest.mark.parametrize("name", ["9", "9.orbax-checkpoint-tmp", "2"])
def test_a_step_behind_a_link_is_refused(tmp_path, name):
    run, user = tmp_path / "run", tmp_path / "user"
    stopped_at_2(run)
    step = run / "checkpoints" / name
    if step.exists():
        step.rename(user)
    else:
        user.mkdir()
    (user / "thesis.tex").write_text("chapter 1")
    step.symlink_to(user)
    with pytest.raises(UserError, match=f"{name} is a link"):
        opened(run).__enter__()
    assert (user / "thesis.tex").read_text() == "chapter 1"


def test_a_checkpoint_of_another_step_is_not_one_of_this(tmp_path, capsys):
    stopped_at_2(tmp_path)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "2").rename(checkpoints / "3")
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 1
    assert "of step 3 is damaged, set aside: it is that of step 2" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["9", "123456789012345678901"])
def test_a_directory_of_a_user_is_not_removed(tmp_path, capsys, name):
    stopped_at_2(tmp_path)
    user = tmp_path / "checkpoints" / name
    user.mkdir()
    (user / "thesis.tex").write_text("chapter 1")
    if name == "9":
        with opened(tmp_path) as run:
            assert run.restore(state_at(0))[1] == 2
        user = tmp_path / "unusable_checkpoints" / name
        assert "of step 9 is damaged, set aside" in capsys.readouterr().err
    else:
        with pytest.raises(UserError, match="is no checkpoint of this program"):
            opened(tmp_path).__enter__()
    assert (user / "thesis.tex").read_text() == "chapter 1"


def test_metrics_that_were_set_aside_before_are_kept(tmp_path):
    stopped_at_2(tmp_path)
    metrics, seen = tmp_path / "metrics.jsonl", []
    for value in (b"7", b"8"):
        damaged = metrics.read_bytes().replace(b'"a": 2', b'"a": ' + value)
        metrics.write_bytes(damaged)
        seen.append(damaged)
        with opened(tmp_path) as run:
            assert run.restore(state_at(0))[1] == 1
            run.record(2, [{"a": 2}], state_at(2))
    aside = tmp_path / "unusable_checkpoints"
    kept = [
        (aside / name).read_bytes() for name in ("metrics.jsonl", "metrics.jsonl.1")
    ]
    assert kept == seen


def test_no_checkpoints_are_no_reason_to_begin_again(tmp_path):
    stopped_at_2(tmp_path)
    (tmp_path / "checkpoints").rename(tmp_path / "away")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="checkpoints is empty: put back"):
        opened(tmp_path).__enter__()
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "away").rename(tmp_path / "checkpoints")
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 2


def test_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path):
    with opened(tmp_path) as run:
        run.restore(state_at(0))
        run.record(1, [{"a": 1}, {"a": 2}])
    with opened(tmp_path) as run:
        assert run.restore(state_at(0))[1] == 0


def test_a_file_in_the_place_of_what_is_set_aside_is_refused(tmp_path):
    stopped_at_2(tmp_path)
    (tmp_path / "unusable_checkpoints").write_text("")
    with pytest.raises(UserError, match="unusable_checkpoints has to be a directory"):
        opened(tmp_path).__enter__()
