"""A process that keeps what it frees is not given it anew by the system."""

import subprocess
import sys

import pytest

from experiments.harness import allocator

PROGRAM = """
import ctypes, resource
from experiments.harness.allocator import keep_freed

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 48 << 20

def use():
    piece = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
    ctypes.memset(piece, 1, size)
    libc.free(piece)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        use()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

use()
print(faults(), keep_freed(1 << 28), end=" ")
use()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_that_is_kept_is_not_cleared_again():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    before, is_kept, after = done.stdout.split()
    if is_kept == "False":
        pytest.skip("another allocator")
    assert int(before) > 50
    assert int(after) < int(before) / 4


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: object())
    assert not allocator.keep_freed(1 << 28)
