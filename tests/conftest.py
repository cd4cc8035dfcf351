"""The policy of all tests, and fixtures that several of them share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

LIBRARY_TESTS = Path(__file__).parent / "nap_optax"

# Loads a file as a module, calls one of its functions and prints what it returns.
_CALL = """
import importlib.util, json, sys
path, function, *arguments = sys.argv[1:]
spec = importlib.util.spec_from_file_location("in_subprocess", path)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
print(json.dumps(getattr(module, function)(*arguments)))
"""


@pytest.fixture(autouse=True)
def strict_numerics(request: pytest.FixtureRequest) -> Iterator[None]:
    """No implicit rank promotion; in the library's tests no dtype promotion either.

    A test of how the library behaves inside third-party code that promotes dtypes
    relaxes the second for that part, by ``jax.numpy_dtype_promotion("standard")``.
    """
    in_library = request.path.is_relative_to(LIBRARY_TESTS)
    with (
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict" if in_library else "standard"),
    ):
        yield


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Runs Python code in a fresh interpreter and returns what it prints."""

    def run(code: str, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def call_on_8_devices(run_python: Callable[..., str]) -> Callable[..., Any]:
    """Calls a function of a file where JAX sees 8 CPU devices; it returns JSON."""

    def call(path: str, function: str, *arguments: str) -> Any:
        printed = run_python(
            _CALL,
            path,
            function,
            *arguments,
            PYTHONPATH=os.pathsep.join(sys.path),  # the helpers of tests, among others
            XLA_FLAGS=f"{os.environ.get('XLA_FLAGS', '')} "
            "--xla_force_host_platform_device_count=8",
            JAX_NUMPY_RANK_PROMOTION="raise",
            JAX_NUMPY_DTYPE_PROMOTION="strict",
        )
        return json.loads(printed.splitlines()[-1])

    return call


@pytest.fixture
def params() -> dict[str, Any]:
    """A block and a head: matrices of norms 5 and 2, a bias and a scale."""
    return {
        "block": {
            "kernel": jnp.array([[3.0, 0.0], [0.0, 4.0]]),
            "bias": jnp.array([0.5, -0.5]),
            "scale": jnp.array([1.0, 2.0]),
        },
        "head": {"kernel": jnp.array([[0.0, 2.0]])},
    }
