import logging
import os
import re
import shutil
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.harness import checkpoints as checkpoints_module
from experiments.harness import files, saved_steps
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.messages import UserError
from experiments.harness.saved_steps import Covered


def make_state(seed, width=64):
    params = {
        "w": jax.random.normal(jax.random.key(seed), (width, 64)),
        "low": jnp.full(3, 0.1 * seed, jnp.bfloat16),
        "absent": None,
        "empty": {},
    }
    tx = optax.chain(optax.clip(1.0), optax.masked(optax.adam(1e-3), True))
    return {
        "params": params,
        "opt": tx.init(params),
        "key": jax.random.key(seed),
        "keys": jax.random.split(jax.random.key(seed), 3),
        "count": jnp.int32(seed),
        "host": np.arange(4),
    }


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


def data_files(tmp_path, step):
    """The files of a checkpoint, largest first."""
    top = tmp_path / "checkpoints" / str(step)
    found = [path for path in top.rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: -path.stat().st_size)


def test_everything_in_a_state_comes_back(checkpoints, assert_same_bits):
    assert checkpoints.restore(make_state(0)) is None
    checkpoints.save(5, make_state(5), Covered(7, None))
    step, state, covered = checkpoints.restore(make_state(0))
    assert (step, covered.num_bytes) == (5, 7)
    assert_same_bits(state, make_state(5))
    assert isinstance(state["opt"], tuple)
    assert isinstance(state["host"], np.ndarray)
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
    _, state, _ = checkpoints.restore(abstract)
    assert_same_bits(state, make_state(5))


def test_the_last_two_are_kept(checkpoints, tmp_path):
    for step in (1, 2, 3):
        checkpoints.save(step, make_state(step), Covered(step, None))
    assert sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir()) == [
        "2",
        "3",
    ]
    assert checkpoints.restore(make_state(0)).step == 3


def test_steps_are_saved_in_order(checkpoints):
    checkpoints.save(2, make_state(2), Covered(2, None))
    for step in (1, 2):
        with pytest.raises(ValueError, match=f"step {step} is not after the last"):
            checkpoints.save(step, make_state(step), Covered(2, None))


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def blank(path):
    path.write_bytes(bytes(path.stat().st_size))


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, blank, remove])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage, checkpoints, tmp_path, capsys, assert_same_bits
):
    checkpoints.save(1, make_state(1), Covered(1, None))
    checkpoints.save(2, make_state(2), Covered(2, None))
    damage(data_files(tmp_path, 2)[0])
    step, state, _ = checkpoints.restore(make_state(0))
    assert step == 1
    assert_same_bits(state, make_state(1))
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("warning: the checkpoint of step 2 is damaged")
    # The step can be saved again, and the damaged one is still there to look at.
    assert (tmp_path / "unusable_checkpoints" / "2").is_dir()
    checkpoints.save(2, make_state(2), Covered(2, None))
    assert checkpoints.restore(make_state(0)).step == 2


def test_a_checkpoint_that_was_not_finished_is_not_used(checkpoints, tmp_path, capsys):
    for step in (1, 2):
        checkpoints.save(step, make_state(step), Covered(step, None))
    (tmp_path / "checkpoints" / "2" / "about.json").unlink()
    assert checkpoints.restore(make_state(0)).step == 1
    assert capsys.readouterr().err == ""
    checkpoints.save(2, make_state(2), Covered(2, None))
    assert checkpoints.restore(make_state(0)).step == 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, blank, remove])
def test_no_damage_to_any_file_goes_unnoticed(
    damage, tmp_path, capfd, assert_same_bits
):
    top = tmp_path / "checkpoints"
    saved = Checkpoints(top)
    for step in (1, 2):
        saved.save(step, make_state(step), Covered(step, None))
    saved.close()
    for number, path in enumerate(data_files(tmp_path, 2)):
        if path.stat().st_size == 0:
            continue
        target = tmp_path / f"copy{number}"
        shutil.copytree(top, target)
        damage(target / path.relative_to(top))
        opened = Checkpoints(target)
        step, state, _ = opened.restore(make_state(0))
        opened.close()
        assert step == 1
        assert_same_bits(state, make_state(1))
        expected = 0 if (damage, path.name) == (remove, "about.json") else 1
        assert capfd.readouterr().err.count("\n") == expected


def test_with_no_usable_checkpoint_the_run_starts_over(checkpoints, tmp_path, capsys):
    for step in (1, 2):
        checkpoints.save(step, make_state(step), Covered(step, None))
        blank(data_files(tmp_path, step)[0])
    assert checkpoints.restore(make_state(0)) is None
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no usable checkpoint is left: starting from the first step" in err


ROWS = [b'{"step": 1}\n', b'{"step": 2}\n']


@pytest.mark.parametrize("with_digest", [True, False])
@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        (ROWS[0] + ROWS[1], None),
        (ROWS[0] + ROWS[1][:7], "5 bytes of the metrics before it are gone"),
        (ROWS[0] + bytes(12), "not what was recorded|end within a line"),
        (ROWS[0] + b"[222222222]\n", "not what was recorded|no JSON object"),
        (ROWS[0] + b'{"stop": 2}\n', "not what was recorded|a line has no step"),
        (ROWS[0] + b'{"step": 9}\n', "not what was recorded|of other steps"),
    ],
)
def test_a_checkpoint_whose_metrics_are_others_is_not_used(
    checkpoints, tmp_path, metrics, why, with_digest
):
    for step in (1, 2):
        before = b"".join(ROWS[:step])
        digest = files.digest(before) if with_digest else None
        covered = Covered(len(before), digest)
        checkpoints.save(step, make_state(step), covered)
    choice = saved_steps.choose(tmp_path / "checkpoints", metrics)
    assert choice.usable.step == (1 if why else 2)
    assert choice.damaged == {}
    if why:
        assert re.search(why, choice.uncovered[2])


def test_another_structure_is_refused_and_nothing_is_lost(checkpoints):
    checkpoints.save(1, make_state(1), Covered(1, None))
    with pytest.raises(
        UserError, match=r"float32\(64, 64\) at .*\['w'\] where .*\(32,"
    ):
        checkpoints.restore(make_state(0, width=32))
    wide = {**make_state(0), "host": np.arange(4, dtype=np.int32)}
    with pytest.raises(UserError, match=r"int64\(4,\) at \['host'\] where .* int32"):
        checkpoints.restore(wide)
    more = {**make_state(0), "new": jnp.ones(2)}
    with pytest.raises(UserError, match=r"has nothing at \['new'\] where"):
        checkpoints.restore(more)
    assert checkpoints.restore(make_state(0)).step == 1


def test_a_full_disk_is_an_os_error_and_keeps_what_is_there(
    checkpoints, limit_file_size, caplog, assert_same_bits, tmp_path
):
    checkpoints.save(1, make_state(1), Covered(1, None))
    limit_file_size(2000)
    with caplog.at_level(logging.WARNING), pytest.raises(OSError, match="too large"):
        checkpoints.save(2, make_state(2), Covered(2, None))
    assert caplog.text == ""
    limit_file_size(None)
    again = Checkpoints(tmp_path / "checkpoints")
    step, state, _ = again.restore(make_state(0))
    assert step == 1
    assert_same_bits(state, make_state(1))
    again.save(2, make_state(2), Covered(2, None))
    assert again.restore(make_state(0)).step == 2
    again.close()


def test_threads_that_failed_too_stay_silent_after_an_error(monkeypatch):
    reported = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda said: reported.append(said.exc_value)
    )
    monkeypatch.setattr(sys, "excepthook", lambda _, error, __: reported.append(error))
    with pytest.raises(OSError, match="full"), checkpoints_module._quiet():
        raise OSError("full")
    for message in ("Event loop is closed", "something else"):
        error = RuntimeError(message)
        sys.unraisablehook(types.SimpleNamespace(exc_value=error))
        sys.excepthook(RuntimeError, error, None)
    assert [str(error) for error in reported] == ["something else"] * 2


def test_a_pipe_in_an_older_checkpoint_is_refused(checkpoints, tmp_path):
    for step in (1, 2):
        checkpoints.save(step, make_state(step), Covered(step, None))
    path = tmp_path / "checkpoints" / "1" / "_CHECKPOINT_METADATA"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="has to be a file"):
        checkpoints.restore(make_state(0))
