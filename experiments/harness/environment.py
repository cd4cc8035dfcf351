"""The environment of a run: settings of JAX, versions, commit and devices.

Some settings of JAX decide random numbers and precision; if they change, it is another
run. XLA chooses its programs by version, device and number of threads, and these round
differently. A run that continues elsewhere is right, but its last bits may differ.
"""

import enum
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("jax", "jaxlib", "optax", "flax", "numpy")
_UNKNOWN = object()
# Settings that decide random numbers and precision.
_DECISIVE = (
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
    "jax_high_dynamic_range_gumbel",
    "jax_enable_x64",
    "jax_explicit_x64_dtypes",
    "jax_numpy_dtype_promotion",
    "jax_default_matmul_precision",
)
# Settings that decide only how results are rounded.
_ROUNDING = (
    "jax_disable_jit",
    "jax_use_direct_linearize",
    "jax_softmax_custom_jvp",
    "jax_optimization_level",
    "jax_exec_time_optimization_effort",
)


def decisive_settings() -> dict[str, Any]:
    """The settings of JAX that decide results, as JSON.

    They are those of this thread now, set by the environment, by `jax.config` or by a
    context manager. Settings that this version of JAX does not know are left out.
    """
    return _settings(_DECISIVE)


def describe() -> dict[str, Any]:
    """Versions, commit, devices and all else that decides rounding, as JSON."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "git_commit": _git_commit(),
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "cpu_cores": available_cores(),
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        },
        "rounding": _settings(_ROUNDING),
    }


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yields (dotted name, old value, new value) where two nested mappings differ.

    A name that one side lacks has the value None on that side.
    """
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield prefix + key, before, after


def _settings(names: Iterable[str]) -> dict[str, Any]:
    import jax

    values = {name: getattr(jax.config, name, _UNKNOWN) for name in names}
    return {
        name: value.name.lower() if isinstance(value, enum.Enum) else value
        for name, value in values.items()
        if value is not _UNKNOWN
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def available_cores() -> int:
    """Number of cores that this process may use, as XLA's thread pool does."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git_commit() -> str | None:
    """The commit of the checkout, with "-dirty" if files differ; None without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
