"""What a process of agents does before it computes."""

import subprocess
import sys

import pytest

STOPPED_WHERE_MEMORY_IS_KEPT = """
import sys
from jax._src import xla_bridge
from experiments.harness import allocator
from experiments.{package}.__main__ import {function} as program

def keep_freed(num_bytes):
    sys.exit(f"devices are in use: {{xla_bridge.backends_are_initialized()}}")

allocator.keep_freed = keep_freed
program()
"""


@pytest.mark.parametrize(
    ("package", "function", "arguments"),
    [
        ("atari", "train_and_record", ["--suite", "minatar", "--num-frames", "9000"]),
        ("reproduce", "main", ["lyle2025/fig6", "--seeds", "1"]),
    ],
)
def test_freed_memory_is_kept_before_a_device_is_used(
    package, function, arguments, tmp_path
):
    program = STOPPED_WHERE_MEMORY_IS_KEPT.format(package=package, function=function)
    stopped = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            *arguments,
            "--run-directory",
            tmp_path / "run",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert stopped.stderr.splitlines()[-1] == "devices are in use: False"
