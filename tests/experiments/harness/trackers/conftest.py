"""A package that replaces tensorboardX and records its calls in files."""

import os
import sys

import pytest

STUB = """
import json, os, sys, time

class SummaryWriter:
    def __init__(self, logdir, purge_step, filename_suffix):
        fail("open")
        os.makedirs(logdir, exist_ok=True)
        name = f"events.out.tfevents{filename_suffix}"
        self._file = open(os.path.join(logdir, name), "x")

    def add_text(self, tag, text, step):
        self._write("text", tag, text)

    def add_scalar(self, tag, value, step):
        fail("log")
        self._write(step, tag, value)

    def _write(self, *values):
        self._file.write(json.dumps(values) + "\\n")

    def flush(self):
        self._file.flush()

    def close(self):
        fail("close")
        self._file.close()


def fail(moment):
    how = os.environ.get(f"STUB_{moment}")
    if how == "raise":
        print("what a library prints", file=sys.stderr, flush=True)
        raise ConnectionError("nobody\\nanswers")
    if how == "exit":
        raise SystemExit("a library's own way")
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how == "hang":
        time.sleep(1000)
"""


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """Here and in the processes that a test starts."""
    directory = tmp_path / "packages"
    (directory / "tensorboardX").mkdir(parents=True)
    (directory / "tensorboardX" / "__init__.py").write_text(STUB)
    monkeypatch.syspath_prepend(directory)
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{directory}{os.pathsep}{before}")
    _forget()
    yield directory
    _forget()


def _forget():
    """So that what is imported next is what the path has."""
    for name in [*sys.modules]:
        ours = name == "experiments.harness.trackers.tensorboard"
        if ours or name.partition(".")[0] == "tensorboardX":
            del sys.modules[name]
