"""A single run by its family: the results of finished and of foreign directories."""

import errno
import json

import jax
import pytest

from experiments.harness import family, files
from experiments.harness.messages import UserError
from helpers.checkout import programs
from helpers.checkout.parity.family import FAMILY as PARITY
from helpers.checkout.programs import flags


@pytest.fixture
def run_program(monkeypatch, capsys):
    """A function from a family and arguments to the exit code, stdout and stderr."""

    def run(own, *argv):
        return programs.call(lambda: family.main(own), monkeypatch, capsys, argv)

    return run


def test_a_finished_run_says_under_which_settings_it_ran(tmp_path, capsys):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    _, summary = family.run(PARITY, config)
    capsys.readouterr()
    with jax.default_prng_impl("rbg"):
        assert family.run(PARITY, config)[1] == summary
    err = capsys.readouterr().err
    assert "its results are shown again, as it ran: jax_default_prng_impl is" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [OSError(errno.EROFS, "Read-only file system"), UserError("is a link")]
)
def test_a_finished_run_that_is_read_only_is_shown(
    tmp_path, run_program, monkeypatch, error
):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    family.run(PARITY, config)
    (tmp_path / ".lock").unlink()

    def refuse(*_):
        raise error

    monkeypatch.setattr(files, "write_atomically", refuse)
    code, out, err = run_program(PARITY, *flags(config))
    assert (code, err.count("\n")) == (0, 2)
    assert f"the figure {tmp_path / 'parity.png'} was not written: " in err
    assert out.startswith("seed 0: ")
    assert not (tmp_path / ".lock").exists()


def test_a_summary_of_other_seeds_is_written_again(tmp_path, capsys):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    _, summary = family.run(PARITY, config)
    (tmp_path / "finished.json").unlink()  # a run of before there were digests
    other = [{**summary[0], "seed": 1}]
    (tmp_path / "summary.json").write_text(json.dumps(other))
    capsys.readouterr()
    assert family.run(PARITY, config)[1][0]["seed"] == 0
    assert "summary.json is damaged: it is written again" in capsys.readouterr().err


def test_a_seed_that_diverges_is_named(capsys):
    rows = [
        {"seed": seed, "step": step, "train_loss": loss}
        for seed, losses in ((0, (1.0, 0.5)), (1, (1.0, None)))
        for step, loss in zip((4, 8), losses, strict=True)
    ]
    family.warn_of_divergence(rows)
    err = capsys.readouterr().err
    assert err.startswith("warning: seed 1 diverged: ")
    assert "at step 8" in err
    assert err.count("\n") == 1


STRANGE_METRICS = [
    b"",
    b'{"step": 2}\n',
    b'{"step": 2, "seed": [0]}\n',
    b'{"step": 2, "seed": 7, "train_loss": 0.5}\n',
    b'{"step": 2, "seed": 0, "train_loss": "abc"}\n',
    b'{"step": 1, "seed": 0, "train_loss": 0.5}\n',
]


@pytest.mark.parametrize("metrics", STRANGE_METRICS)
def test_metrics_of_somebody_else_are_one_line(tmp_path, run_program, metrics):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    family.run(PARITY, config)
    (tmp_path / "finished.json").unlink()
    (tmp_path / "metrics.jsonl").write_bytes(metrics)
    code, out, err = run_program(PARITY, *programs.flags(config))
    assert (code, out) == (1, "")
    assert "metrics.jsonl is damaged" in err.splitlines()[-1]


def test_a_summary_of_somebody_else_is_shown_as_far_as_it_goes(tmp_path, run_program):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    family.run(PARITY, config)
    (tmp_path / "finished.json").unlink()
    for entry in ({}, {"highest": "0.5"}, {"outcome": "x\x1b]0;own\x07\nroot# "}):
        summary = json.dumps([{"seed": 0, **entry}])
        (tmp_path / "summary.json").write_text(summary)
        code, out, _ = run_program(PARITY, *programs.flags(config))
        assert code == 0
        assert "its summary was not written by this program" in out
        assert out.count("\n") == 2
        assert "\x1b" not in out


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_finite_are_described(tmp_path, run_program, value):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    family.run(PARITY, config)
    (tmp_path / "finished.json").unlink()
    summary = json.dumps([{"seed": 0, "highest": value}])
    (tmp_path / "summary.json").write_text(summary)
    _, out, _ = run_program(PARITY, *programs.flags(config))
    assert f"seed 0: highest test accuracy {float(value):.3f}\n" in out


def test_metrics_that_a_figure_lacks_are_a_warning(tmp_path, run_program):
    config = PARITY.config_class(num_steps=2, eval_every=2, run_directory=tmp_path)
    family.run(PARITY, config)
    (tmp_path / "finished.json").unlink()
    row = {"step": 2, "seed": 0, "train_loss": 0.5}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    code, _, err = run_program(PARITY, *programs.flags(config))
    assert code == 0
    assert "was not written: the metrics have no 'test_accuracy'" in err
