"""Shared helpers of the harness tests."""

import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Lifts a file size limit before pytest reports, perhaps into a longer file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[1], before[1]))


@pytest.fixture(scope="session")
def toy():
    """The toy experiment as a module."""
    spec = importlib.util.spec_from_file_location("toy", HERE / "toy_experiment.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def start_python():
    """Starts python on a script, with the checkout importable."""

    def start(*args, **environment):
        return subprocess.Popen(
            [sys.executable, *map(str, args)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def limit_file_size():
    """Makes writes past a size fail, as on a full disk, until the test ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(num_bytes):
        soft = before[0] if num_bytes is None else num_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, before[1]))

    yield limit
    limit(None)


@pytest.fixture(scope="session")
def assert_same_bits():
    """Compares pytrees bit by bit, structure and dtypes included."""

    def array(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.asarray(leaf)

    def check(one, other):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            assert a.dtype == b.dtype
            assert array(a).shape == array(b).shape
            assert array(a).tobytes() == array(b).tobytes()

    return check
