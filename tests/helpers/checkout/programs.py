"""Experiments as a user runs them: in this process, or in one that may be killed."""

import contextlib
import dataclasses
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.harness import command_line, files

ROOT = Path(__file__).parents[3]


def flags(config, **changes):
    """The command line of a config."""
    argv = []
    switches = {
        field.name for field in dataclasses.fields(config) if field.type is bool
    }
    for name, value in (dataclasses.asdict(config) | changes).items():
        flag = name.replace("_", "-")
        if name in switches:
            argv.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple):
            argv += [f"--{flag}", *map(str, value)] if value else []
        elif value is not None:
            argv += [f"--{flag}", str(value)]
    return argv


def call(main, monkeypatch, capsys, argv):
    """Calls a program's main; returns its exit code, stdout and stderr."""
    return _exit_code(main, monkeypatch, argv), *capsys.readouterr()


def redirected(main, *argv):
    """As `call`, where a fixture lives longer than a test."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _exit_code(main, patch, argv)
    return code, out.getvalue(), err.getvalue()


def _exit_code(main, monkeypatch, argv):
    monkeypatch.setattr("sys.argv", ["program", *map(str, argv)])
    try:
        return command_line.run(main)
    except SystemExit as stop:
        return stop.code


def start(module, argv, compiled, stderr=subprocess.DEVNULL, **environment):
    """Starts a command; what several such processes compile alike is compiled once."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",  # their steps are many, unlike those of a test
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, *argv],
        cwd=ROOT,
        env={
            **os.environ,
            **cache,
            "PYTHONPATH": str(ROOT / "tests"),
            **environment,
        },
        stderr=stderr,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def kill_and_continue(start_process, path, num_kills, most_seconds=0.3):
    """Kills a command at random moments, continues it each time, and lets it end.

    Where it ends before it is killed, which is a matter of the machine, it starts over
    and is killed sooner.

    Args:
      start_process: starts or continues it.
      path: its run directory.
      num_kills: how often.
      most_seconds: between a checkpoint and a kill.
    """
    moments = random.Random(0)
    seen = kills = 0
    while kills < num_kills:
        process = start_process()
        # Wait until it has left a checkpoint of its own, then some more.
        while process.poll() is None and _last_checkpoint(path) <= seen:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, most_seconds))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
            seen = _last_checkpoint(path)
            continue
        assert process.returncode == 0
        assert most_seconds > 0.001, "it is too short to be killed"
        shutil.rmtree(path)
        seen = kills = 0
        most_seconds /= 4
    assert start_process().wait() == 0
    clock = files.read_json_lines(path / "clock.jsonl")
    starts = [
        min(line["step"] for line in clock if line["session"] == session)
        for session in sorted({line["session"] for line in clock})
    ]
    # Finished work is not done again. (A session that is killed as soon as it has saved
    # may leave no line in the clock.)
    assert starts == sorted(set(starts))
    assert starts[-1] > seen or clock[-1]["step"] == seen  # killed after all its work


def _last_checkpoint(path):
    """The last one that is whole: what is renamed only is not."""
    steps = [int(at.parent.name) for at in path.glob("checkpoints/*/about.json")]
    return max(steps, default=0)
