"""Experiments as a user runs them: in this process, or in one that may be killed."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from experiments.harness import command_line, files

ROOT = Path(__file__).parents[3]


def flags(config, **changes):
    """The command line of a config."""
    argv = []
    for name, value in (dataclasses.asdict(config) | changes).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            argv.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            argv += [f"--{flag}", str(value)]
    return argv


def call(main, monkeypatch, capsys, argv):
    """Calls a program's main; returns its exit code, stdout and stderr."""
    monkeypatch.setattr("sys.argv", ["program", *map(str, argv)])
    try:
        code = command_line.run(main)
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


def start(module, argv, compiled):
    """Starts a command; what several such processes compile alike is compiled once."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, *argv],
        cwd=ROOT,
        env={**os.environ, **cache, "PYTHONPATH": str(ROOT / "tests")},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def kill_and_continue(start_process, metrics, num_kills):
    """Kills a command at random moments, continues it each time, and lets it end.

    Args:
      start_process: starts or continues it.
      metrics: the file that grows while it runs.
      num_kills: how often.
    """
    moments = random.Random(0)
    most_done = 0
    for _ in range(num_kills):
        process = start_process()
        size = metrics.stat().st_size if metrics.exists() else 0
        # Wait until it has gone on from where it was, then some more.
        while process.poll() is None and (
            not metrics.exists() or metrics.stat().st_size <= size
        ):
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL  # else it ended before
        done = len(files.read_json_lines(metrics))
        assert done > most_done  # finished work is not done again
        most_done = done
    assert start_process().wait() == 0
