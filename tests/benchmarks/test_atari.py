"""Agents on Atari: every line is printed, with a replay that is soon filled."""

import os

import pytest

from benchmarks.atari import __main__ as atari

pytest.importorskip("ale_py", reason="the extra [atari] is not installed")
pytest.importorskip("gymnasium", reason="gymnasium is not installed")


@pytest.mark.slow
def test_every_line_is_printed(capfd, monkeypatch):
    cores = os.sched_getaffinity(0)
    options = ["--replay-steps=1000", "--steps=8", "--rounds=1", "--steps-per-update=4"]
    try:
        atari.main(options)
    finally:
        os.sched_setaffinity(0, cores)
    printed = capfd.readouterr().out
    for row in (
        "1 update per 4 steps",
        "as CleanRL: ",
        "as DQN Zoo: ",
        "environment: ",
        "replay: 7,067 bytes a step",
        "projection and a cyclic rate add",
    ):
        assert row in printed
