"""Rows of metrics that two ways of running the same members left."""

import os

import pytest

OLDER_LOOPS = "--xla_cpu_use_fusion_emitters=false" in os.environ.get("XLA_FLAGS", "")
"""Whether XLA compiles by its older loops, as tests do since they compile quickly. With
these, last bits of a member depend on the number of members."""


def assert_same_rows(rows, expected):
    """Compares each row: all bits with the loops that users have, else nearly all."""
    if OLDER_LOOPS:
        expected = [pytest.approx(row, rel=1e-4, abs=1e-6) for row in expected]
    assert rows == expected
