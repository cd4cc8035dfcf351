"""What a process of agents does before it computes."""

import subprocess
import sys

import pytest

STOPPED_WHERE_MEMORY_IS_KEPT = """
import sys
from experiments.harness import allocator
from experiments.{package}.__main__ import {function} as program

allocator.keep_freed = lambda _: sys.exit(f"jax is imported: {{'jax' in sys.modules}}")
program()
"""


@pytest.mark.parametrize(
    ("package", "function", "arguments"),
    [
        ("atari", "train_and_record", ["--suite", "minatar", "--num-frames", "9000"]),
        ("reproduce", "main", ["lyle2025/fig6", "--seeds", "1"]),
    ],
)
def test_freed_memory_is_kept_before_jax_has_threads(
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
    )
    assert stopped.stderr.splitlines()[-1] == "jax is imported: False"
