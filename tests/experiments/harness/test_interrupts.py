"""Ctrl-C while a command starts up, at moments that do not depend on the clock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.harness import command_line, interrupts

ROOT = Path(__file__).parents[3]

# Runs a module as `python -m` does, with a Ctrl-C when it imports another one.
INTERRUPTED = """
import os, runpy, signal, sys
moment, module, *sys.argv[1:] = sys.argv[1:]

class Finder:
    def find_spec(name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
sys.argv[0] = "-m"
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.fixture(autouse=True)
def interruptible():
    """Whatever started the tests: a shell has its jobs in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(moment, directory):
    argv = ["--modulus", "7", "--num-steps", "2", "--run-directory", str(directory)]
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, moment, "experiments.grokking", *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_an_interrupt_of_the_start_is_one_line(tmp_path):
    moments = [
        *("experiments.grokking.family", "numpy", "tyro", "jax", "jaxlib.mlir.ir"),
        *("orbax.checkpoint", "tensorstore", "experiments.grokking.experiment"),
    ]
    started = {moment: start(moment, tmp_path / moment) for moment in moments}
    for moment, process in started.items():
        out, err = process.communicate()
        assert (process.returncode, out) == (130, ""), moment
        assert err == f"{interrupts.LINE}\n", moment
    assert list(tmp_path.iterdir()) == []


SWALLOWING = """
import os, signal, sys
from experiments.harness import command_line, interrupts

def main():
    with interrupts.held():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            {then}

sys.exit(command_line.run(main))
"""


@pytest.mark.parametrize(
    "then",
    [
        "raise RuntimeError('compilation failed')",
        "interrupts.check()",
        "os.kill(os.getpid(), signal.SIGINT)",
        "pass",
    ],
)
def test_what_a_library_makes_of_an_interrupt_is_one_line(then, start_python):
    process = start_python("-c", SWALLOWING.format(then=then))
    _, err = process.communicate()
    assert (process.returncode, err) == (130, f"{interrupts.LINE}\n")


def test_an_interrupt_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = command_line.run(lambda: os.kill(os.getpid(), signal.SIGINT))
        assert code == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_handler_of_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    seen = []
    command_line.run(lambda: seen.append(signal.getsignal(signal.SIGINT)))
    assert seen[0] is not before
    assert signal.getsignal(signal.SIGINT) is before
