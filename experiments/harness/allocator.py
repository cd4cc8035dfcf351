"""What the allocator of the process does with memory that is freed."""

import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8
"""Parameters of glibc's `mallopt`."""

LARGEST_KEPT = 1 << 28
"""Bytes; the temporary memory of an agent's update takes less."""


def keep_freed(num_bytes: int) -> bool:
    """Has the process keep memory that it frees, in place of returning it at once.

    XLA's CPU backend allocates the temporary memory of a program at each call. By
    default glibc maps a piece of more than 32 MB anew each time, and the system then
    clears it page by page: measured, 15 ms of 86 for a round of Rainbow, whose update
    has 55 MB. The peak of memory stays. Call it before jax starts its threads, for
    those would have pools of their own, which hold no such piece.

    Args:
      num_bytes: the largest piece to keep, and how much of what is free in all.

    Returns:
      Whether it could be set; other systems' allocators have their own ways.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    options = {_ARENA_MAX: 1, _MMAP_THRESHOLD: num_bytes, _TRIM_THRESHOLD: num_bytes}
    return all([mallopt(name, value) == 1 for name, value in options.items()])
